"""What one accelerator reaches: bytes a second of copies and reads, FLOP a second of products, by type and rows."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from clustermodel.bench.decoder import parts
from clustermodel.bench.machine import seconds

KINDS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float8_e4m3fn": "fp8", "int8": "int8"}
"""Types of products, and what the catalogue calls their arithmetic; tf32 is float32 at lower precision."""
TF32 = "tf32"
_READ_ROWS = 16  # up to here a product is a read of its matrix
_IN_FLIGHT = 16  # calls handed to an accelerator before the last is waited for
_BY_LIBRARY = {"xla_gpu_enable_triton_gemm": False}  # products by cuBLASLt alone


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large the test problems are; large enough to be slow against a launch."""

    elements: int  # of the arrays that are copied and read
    width: int  # inner and outer width of products
    rows: tuple[int, ...]  # of products
    kinds: tuple[str, ...]  # types of products
    heads: int
    kv_heads: int
    head_dim: int
    batch: int  # sequences of decode attention
    context: int  # tokens of each
    prompt: int  # tokens of prefill attention
    n_experts: int
    repeats: int


_HEADS: dict[str, int] = {"heads": 32, "kv_heads": 8, "head_dim": 128}  # those of Llama-3.1-8B
FULL = Sizes(
    elements=1 << 29,
    width=8192,
    rows=(1, 2, 4, 8, 16, 64, 256, 1024, 4096, 8192),
    kinds=tuple(KINDS),
    batch=64,
    context=4096,
    prompt=8192,
    n_experts=64,
    repeats=10,
    **_HEADS,
)
QUICK = dataclasses.replace(FULL, elements=1 << 27, rows=(1, 16, 256, 4096), batch=16, prompt=4096, repeats=3)
ON_CPU = dataclasses.replace(
    FULL,
    elements=1 << 25,
    width=4096,
    rows=(1, 4, 16, 64, 256),
    kinds=("float32", "bfloat16", "int8"),
    batch=4,
    context=2048,
    prompt=512,
    n_experts=8,
    repeats=3,
)
QUICK_ON_CPU = dataclasses.replace(
    ON_CPU,
    kinds=("float32", "bfloat16"),
    elements=1 << 24,
    width=2048,
    rows=(1, 128),
    context=512,
    prompt=256,
    repeats=2,
)


def sizes(quick: bool) -> Sizes:
    """Sizes for the default device."""
    if jax.default_backend() == "cpu":
        return QUICK_ON_CPU if quick else ON_CPU
    return QUICK if quick else FULL


@dataclasses.dataclass(frozen=True)
class Measured:
    """One figure: what was run, how fast, in B/s or FLOP/s or s."""

    name: str
    kind: str  # of the numbers: fp32, bf16 ...
    size: int  # rows, tokens or bytes
    value: float
    unit: str


def per_call(run: Callable[[], Any], repeats: int) -> float:
    """Seconds of a call among others in flight: an accelerator that waits for the host between two is not measured."""
    calls = 1 if jax.default_backend() == "cpu" else _IN_FLIGHT

    def several() -> Any:
        for _ in range(calls - 1):
            run()
        return run()

    return seconds(several, repeats) / calls


def traffic(sizes: Sizes) -> Iterator[Measured]:
    """Copy (read and write) and read (a sum) of one large array."""
    x = jnp.ones(sizes.elements, jnp.float32)
    copy, read = jax.jit(lambda a: a + 1), jax.jit(jnp.sum)
    yield Measured("copy", "fp32", x.nbytes, 2 * x.nbytes / per_call(lambda: copy(x), sizes.repeats), "B/s")
    yield Measured("read", "fp32", x.nbytes, x.nbytes / per_call(lambda: read(x), sizes.repeats), "B/s")


def products(sizes: Sizes) -> Iterator[Measured]:
    """Products of some rows with a square matrix, by type; kinds that this backend lacks are left out."""
    for kind in sizes.kinds:
        yield from _products(sizes, jnp.dtype(kind), KINDS[kind], precision(kind))
    if jax.default_backend() == "gpu":
        yield from _products(sizes, jnp.dtype("float32"), TF32, jax.lax.Precision.DEFAULT)


def precision(kind: str) -> jax.lax.Precision:
    """All bits of float32; of the others only fp8 has a choice, and its peak is that of fast accumulation."""
    return jax.lax.Precision.HIGHEST if kind == "float32" else jax.lax.Precision.DEFAULT


def _products(sizes: Sizes, dtype: Any, kind: str, precision: jax.lax.Precision) -> Iterator[Measured]:
    keys, width = jax.random.split(_key(0)), sizes.width
    b = _normal(keys[1], (width, width), dtype)
    for rows in sizes.rows:
        a = _normal(keys[0], (rows, width), dtype)
        programs = [product(dtype, precision, options) for options in ways(dtype)]
        times = [_seconds_or_none(functools.partial(each, a, b), sizes.repeats) for each in programs]
        if not (done := [each for each in times if each is not None]):
            continue
        yield Measured("product", kind, rows, 2 * rows * width**2 / min(done), "FLOP/s")
        if rows <= _READ_ROWS:
            yield Measured("weight_read", kind, rows, b.nbytes / min(done), "B/s")


def ways(dtype: Any) -> tuple[Mapping[str, bool], ...]:
    """Compiler options under which products are timed, the best counts.

    On a GPU numbers of eight bits are also left to its library: the compiler's own kernels may widen them first.
    """
    return ({}, _BY_LIBRARY) if _is_turned(dtype) else ({},)


def product(dtype: Any, precision: jax.lax.Precision, options: Mapping[str, bool]) -> Any:
    """The program that multiplies rows by a square matrix, to 32 bits.

    On a GPU a matrix of eight-bit numbers lies as [outputs, inputs], as engines keep it: their tensor cores multiply
    rows by rows, and a matrix that lies otherwise is turned over at every call [cuBLAS 12.9, cublasLtMatmul].
    """
    wide = jnp.int32 if jnp.issubdtype(dtype, jnp.integer) else jnp.float32
    matrix = jnp.transpose if _is_turned(dtype) else lambda b: b
    multiply = functools.partial(jnp.matmul, precision=precision, preferred_element_type=wide)
    return jax.jit(lambda a, b: multiply(a, matrix(b)), compiler_options=dict(options))


def _is_turned(dtype: Any) -> bool:
    return jax.default_backend() == "gpu" and jnp.dtype(dtype).itemsize == 1


def _key(number: int) -> Array:
    return jax.random.key(number, impl="rbg")  # the device's own generator: quick to compile


def _normal(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """Random, not constant: data that never toggle draw less power."""
    if jnp.issubdtype(dtype, jnp.integer):
        return jax.random.randint(key, shape, jnp.iinfo(dtype).min, jnp.iinfo(dtype).max, dtype)
    return jax.random.normal(key, shape, jnp.float32).astype(dtype)


def _seconds_or_none(run: Any, repeats: int) -> float | None:
    try:
        return per_call(run, repeats)
    except (jax.errors.JaxRuntimeError, NotImplementedError, TypeError, ValueError):
        return None  # this backend has no such arithmetic


def attention(sizes: Sizes, dtype: Any) -> Iterator[Measured]:
    """Reads of decode attention over a cache, and arithmetic of prefill attention, of the benchmark's decoder."""
    kind = KINDS[jnp.dtype(dtype).name]
    keys = jax.random.split(_key(1), 3)
    cache = (sizes.batch, sizes.kv_heads, sizes.context, sizes.head_dim)
    key, value = (_normal(each, cache, dtype) for each in keys[:2])
    query = _normal(keys[2], (sizes.batch, 1, sizes.heads, sizes.head_dim), dtype)
    lengths = jnp.full(sizes.batch, sizes.context, jnp.int32)
    decode = jax.jit(parts.decode_attention)
    taken = per_call(lambda: decode(query, key, value, lengths), sizes.repeats)
    yield Measured("decode_attention", kind, sizes.context, (key.nbytes + value.nbytes) / taken, "B/s")
    shape = (1, sizes.prompt, sizes.kv_heads, sizes.head_dim)
    key, value = (_normal(each, shape, dtype) for each in keys[:2])
    query = _normal(keys[2], (1, sizes.prompt, sizes.heads, sizes.head_dim), dtype)
    prefill = jax.jit(parts.prefill_attention)
    taken = per_call(lambda: prefill(query, key, value), sizes.repeats)
    flops = 2 * sizes.heads * sizes.head_dim * sizes.prompt**2  # two products over half of the square
    yield Measured("prefill_attention", kind, sizes.prompt, flops / taken, "FLOP/s")


def expert_products(sizes: Sizes, dtype: Any) -> Iterator[Measured]:
    """One product per expert, all at once: reads at one row each, arithmetic at many."""
    kind, width = KINDS[jnp.dtype(dtype).name], sizes.width // 2
    weights = _normal(_key(2), (sizes.n_experts, width, width), dtype)
    product = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    for rows in (1, max(sizes.rows) // 2):
        x = _normal(_key(3), (sizes.n_experts, rows, width), dtype)
        taken = per_call(lambda x=x: product(x, weights), sizes.repeats)
        if rows == 1:
            yield Measured("expert_read", kind, rows, weights.nbytes / taken, "B/s")
        else:
            yield Measured("expert_product", kind, rows, 2 * x.size * width / taken, "FLOP/s")
