"""Each operation against its formula in float64, one number at a time; and none changes what it is given."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from txexplain.engine import ops


def by_tanh(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def by_erf(x: float) -> float:
    return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


FORMULAS: dict[str, Callable[[float], float]] = {
    **dict.fromkeys(("gelu_new", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh"), by_tanh),
    "gelu_fast": lambda x: 0.5 * x * (1 + math.tanh(x * 0.7978845608 * (1 + 0.044715 * x * x))),
    **dict.fromkeys(("gelu", "gelu_python"), by_erf),
    "gelu_10": lambda x: max(-10.0, min(10.0, by_erf(x))),
    "quick_gelu": lambda x: x / (1 + math.exp(-1.702 * x)),
    "relu": lambda x: max(x, 0.0),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "swish": lambda x: x / (1 + math.exp(-x)),
    "tanh": math.tanh,
}
X = np.linspace(-12, 12, 4803, dtype=np.float32).reshape(3, -1)


def frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def test_every_activation_has_its_formula_here() -> None:
    assert FORMULAS.keys() == ops.ACTIVATIONS.keys()


@pytest.mark.parametrize("name", FORMULAS)
def test_activations(name: str) -> None:
    got = ops.ACTIVATIONS[name](frozen(X.copy()))
    expected = np.vectorize(FORMULAS[name])(X.astype(np.float64))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=2e-6)


def test_layer_norm() -> None:
    rng = np.random.default_rng(0)
    x, gain, bias = (frozen(rng.standard_normal(s).astype(np.float32) * 3 + 1) for s in ((5, 96), 96, 96))
    got, scale = ops.layer_norm(x, gain, bias, 1e-5)
    for row in range(5):
        values = [float(v) for v in x[row]]
        mean = math.fsum(values) / 96
        spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / 96 + 1e-5)
        assert scale[row, 0] == pytest.approx(spread, rel=1e-6)
        expected = [(v - mean) / spread * float(g) + float(b) for v, g, b in zip(values, gain, bias, strict=True)]
        np.testing.assert_allclose(got[row], expected, rtol=1e-5, atol=1e-5)


def test_softmax_of_scores_with_a_mask() -> None:
    rng = np.random.default_rng(1)
    q, k = (frozen(rng.standard_normal((n, 2, 4)).astype(np.float32)) for n in (3, 7))
    scores = frozen(ops.attention_scores(q, k, 0.5))
    shares = ops.softmax(scores)
    for head in range(2):
        for i in range(3):
            seen = [math.fsum(float(a) * float(b) for a, b in zip(q[i, head], k[j, head], strict=True)) * 0.5 for j in range(5 + i)]
            np.testing.assert_allclose(scores[head, i, : 5 + i], seen, rtol=1e-5, atol=1e-6)
            assert np.isneginf(scores[head, i, 5 + i :]).all()
            total = math.fsum(math.exp(s) for s in seen)
            np.testing.assert_allclose(shares[head, i, : 5 + i], [math.exp(s) / total for s in seen], rtol=1e-5)
            assert (shares[head, i, 5 + i :] == 0).all()


def test_softmax_of_large_scores_does_not_overflow() -> None:
    np.testing.assert_allclose(ops.softmax(np.array([1000, 1000, 0], dtype=np.float32)), [0.5, 0.5, 0])


def test_values_are_mixed_head_by_head() -> None:
    rng = np.random.default_rng(2)
    pattern, v = rng.random((2, 3, 5)).astype(np.float32), rng.standard_normal((5, 2, 4)).astype(np.float32)
    z = ops.weighted_values(frozen(pattern), frozen(v))
    for i, head in np.ndindex(3, 2):
        expected = sum(float(pattern[head, i, j]) * v[j, head].astype(np.float64) for j in range(5))
        np.testing.assert_allclose(z[i, head], expected, rtol=1e-5, atol=1e-6)
