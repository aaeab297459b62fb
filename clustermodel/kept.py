"""Programs kept between runs: what was traced once is not traced again by the next command.

jax keeps what it compiles, but traces and lowers every program in every process, and for the whole chain that takes
eight times as long as loading what was compiled. So where compilations are kept (`jax_compilation_cache_dir`), what a
function was traced to is kept beside them, under everything that it follows from: these sources, the versions of jax
and equinox, the settings of jax, the kind of device, and the structure and types of the arguments.
"""

import functools
import hashlib
import importlib.util
import os
import pickle
import tempfile
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.export
import numpy as np
from jax.core import Tracer

R = TypeVar("R")
T = TypeVar("T")

_FOLDER = "traced"
_CAN_SERIALISE = (
    importlib.util.find_spec("flatbuffers") is not None
)  # jax.export needs it and does not bring it
_SETTINGS = (
    "jax_enable_x64",
    "jax_numpy_rank_promotion",
    "jax_numpy_dtype_promotion",
    "jax_default_matmul_precision",
    "jax_threefry_partitionable",
)
"""Settings of jax that what a function is traced to depends on."""


class _Program(NamedTuple):
    run: Callable[..., Any]  # leaves of the arguments -> leaves of the result
    result: Any  # the result's structure


class Kept(Generic[R]):
    """`jax.jit` of a function of arrays, whose trace is read from the user's cache where it is there.

    Under a transformation (`jax.grad`, `jax.vmap`, another `jax.jit`) and for arrays spread over several devices it
    is the jitted function itself. What the function reads besides its arguments is named in `constants`: equal ones
    must have equal words. `compiler_options` are those of `jax.jit`; inside another program its own hold.
    """

    def __init__(
        self,
        function: Callable[..., R],
        *constants: Hashable,
        compiler_options: Mapping[str, str | bool] | None = None,
    ):
        functools.update_wrapper(self, function)
        self._name = f"{function.__module__}.{function.__qualname__} {constants}"
        outermost = functools.partial(jax.jit, compiler_options=dict(compiler_options or {}))
        self.jitted = jax.jit(function)
        self._alone, self._kept = outermost(function), outermost(self._looked_up)

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """The function's value."""
        leaves = jax.tree.leaves((args, kwargs))
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            return self.jitted(*args, **kwargs)
        traced = _folder() is None or any(map(_is_spread, leaves))
        return (self._alone if traced else self._kept)(*args, **kwargs)

    def _looked_up(self, *args: Any, **kwargs: Any) -> R:
        """What `jax.jit` traces: the kept program, not the function."""
        leaves, tree = jax.tree.flatten((args, kwargs))
        types = [jax.typeof(leaf) for leaf in leaves]
        weak = [each.weak_type for each in types]
        name = _digest(self._name, tree, types, weak, _settings(), _sources())
        path = (_folder() or Path()) / name
        program = _read(path) or self._trace(tree, types, path)
        return jax.tree.unflatten(program.result, program.run(*leaves))

    def _trace(self, tree: Any, types: Sequence[Any], path: Path) -> _Program:
        results = []

        def flat(*leaves: Any) -> list[Any]:
            args, kwargs = jax.tree.unflatten(tree, leaves)
            found, structure = jax.tree.flatten(self.jitted(*args, **kwargs))
            results.append(structure)
            return found

        given = [jax.ShapeDtypeStruct(each.shape, each.dtype, weak_type=each.weak_type) for each in types]
        exported = jax.export.export(jax.jit(flat))(*given)
        _write(path, results[0], exported.serialize())
        return _Program(exported.call, results[0])


def in_chunks(run: Callable[..., Any], *rows: Any, sizes: Sequence[int] = (512,)) -> Any:
    """Stacked rows through a program of many rows, the last chunk filled up with the last row.

    A chunk has the least of `sizes` that holds all rows, or the largest: one compilation for each serves tables of any
    length.
    """
    n = len(jax.tree.leaves(rows)[0])
    return joined([run(*chunk) for chunk in chunks(rows, sizes)], n)


def chunks(rows: T, sizes: Sequence[int]) -> Iterator[T]:
    """The chunks of `in_chunks` (numpy), for rows that several calls share."""
    rows = jax.tree.map(np.asarray, rows)
    n = len(jax.tree.leaves(rows)[0])
    size = next((each for each in sizes if n <= each), sizes[-1])
    for start in range(0, n, size):
        index = np.minimum(np.arange(start, start + size), n - 1)
        yield jax.tree.map(lambda leaf, index=index: leaf[index], rows)


def joined(parts: Sequence[Any], n: int) -> Any:
    """Results of chunks as those of `n` rows (numpy)."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:n], *parts)


def _is_spread(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and len(leaf.sharding.device_set) > 1


def _folder() -> Path | None:
    """Where traces are kept: beside what is compiled; None where nothing is."""
    values = jax.config.values
    place = values["jax_compilation_cache_dir"]
    kept = place and values["jax_enable_compilation_cache"] and not values["jax_disable_jit"]
    return Path(place) / _FOLDER if kept and _CAN_SERIALISE else None


def _settings() -> tuple[Hashable, ...]:
    values = jax.config.values
    versions = (jax.__version__, eqx.__version__)
    return (*versions, jax.default_backend(), *(values[name] for name in _SETTINGS))


@functools.cache
def _sources() -> str:
    """Fingerprint of this package's code."""
    package = Path(__file__).parent
    paths = sorted(package.rglob("*.py"))
    return _digest(*((str(path.relative_to(package)), path.read_bytes()) for path in paths))


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def _write(path: Path, structure: Any, program: bytes | bytearray) -> None:
    """Put a program there at once; another process may be reading."""
    numbered = jax.tree.unflatten(structure, range(structure.num_leaves))
    content = pickle.dumps((numbered, bytes(program)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as apart:
            part = Path(apart) / path.name
            part.write_bytes(hashlib.sha256(content).digest() + content)
            os.replace(part, path)
    except OSError:
        return  # a full or a foreign disk: traced again next time


def _read(path: Path) -> _Program | None:
    """The program that was put there; None without one, or where a part of it is missing."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    if hashlib.sha256(stored[size:]).digest() != stored[:size]:
        return None
    numbered, program = pickle.loads(stored[size:])
    exported = jax.export.deserialize(bytearray(program))
    return _Program(exported.call, jax.tree.structure(numbered))
