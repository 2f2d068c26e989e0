"""By which names a class is asked for. A page of another site can let its own name lead here (DNS rebinding): it says that name."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from contextlib import suppress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def is_address(host: str) -> bool:
    with suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


def own_address() -> str:
    """The address from which this machine would speak to others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # a network for documentation
        return str(probe.getsockname()[0])
    return socket.gethostname()


def public_host(host: str) -> str:
    """The host of the link, where one listens at `host`: everywhere means the address under which others see this machine."""
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            return own_address()
    return host


def is_served(asked: str, host: str, names: Collection[str]) -> bool:
    """Whether a request's Host header means the class that listens at `host`, whose further names are `names`; any port may be handed on.

    This machine is always meant by its loopback names; beyond it, by any address, which nobody can let lead elsewhere.
    """
    try:
        name = (urlsplit(f"//{asked}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if is_loopback(name) or name in {each.lower().rstrip(".") for each in (host, public_host(host), *names)}:
        return True
    return is_address(name) and not is_loopback(host)
