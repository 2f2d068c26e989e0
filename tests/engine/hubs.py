"""The library's settings for a test: a cache of its own, and a hub on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from tests.engine.hub_server import Hub


@contextmanager
def hub_and_cache(monkeypatch: pytest.MonkeyPatch, cache: Path, token: str | None = None) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: token)
    with Hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        yield hub
    huggingface_hub.close_session()
