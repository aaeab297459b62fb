"""Benchmarks small enough for a test of everything but their figures."""

from clustermodel.bench import mix, model, rates, serve
from clustermodel.bench.decoder import Shape

TINY = rates.Sizes(
    elements=1 << 10,
    width=16,
    rows=(1, 4),
    kinds=("float32", "int8"),
    heads=4,
    kv_heads=2,
    head_dim=8,
    batch=2,
    context=48,
    prompt=16,
    n_experts=2,
    repeats=1,
)
NARROW = Shape(2, 0, d_model=16, heads=4, kv_heads=2, head_dim=8, ffn_dim=24, vocab=16)


def shrink(monkeypatch):
    """Every benchmark measures next to nothing: its program runs, its figures mean nothing."""
    monkeypatch.setattr(rates, "sizes", lambda quick: TINY)
    monkeypatch.setattr(serve, "default_scale", lambda shape: 64)
    monkeypatch.setattr(model, "CASES", {"dense": model.CASES["dense"]})
    monkeypatch.setattr(mix, "rate", lambda *_: 1e9)
    monkeypatch.setattr(mix, "alone", lambda kinds, *_: dict.fromkeys(kinds, 1e-9))
