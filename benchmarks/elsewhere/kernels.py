"""What a program compiled for a GPU does: how often it starts a kernel, and what is moved for no arithmetic."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_COMPUTATION = re.compile(r"^(ENTRY )?%(\S+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%(\S+) = (\(.*?\)|\S+) ([a-z][a-z0-9-]*)\((.*)$")
_ARRAY = re.compile(r"\b(pred|bf16|[suf]\d+\w*)\[([\d,]*)\]")
_CALLED = re.compile(r"\b(?:calls|body|condition|to_apply)=%([\w.-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id")
"""Names for something that is there already: no kernel."""
_MOVES = (
    "copy",
    "slice",
    "dynamic-slice",
    "gather",
    "transpose",
    "reshape",
    "concatenate",
    "broadcast",
    "pad",
)
_OPERAND = re.compile(r"%([\w.-]+)")
_PRODUCT = re.compile(r'custom_call_target="__cublas')
_IN_PLACE = ("dynamic-update-slice", "scatter")


class Work(NamedTuple):
    """Of one run of a program."""

    launches: float = 0  # kernels started
    moved: float = 0  # bytes written by kernels that only copy, slice or gather
    unknown_loops: int = 0  # loops that stop by themselves, counted as one round

    def plus(self, other: "Work", times: float = 1) -> "Work":
        """With another's work done so often."""
        return Work(*(mine + times * theirs for mine, theirs in zip(self[:2], other[:2], strict=True)),
                    self.unknown_loops + other.unknown_loops)  # fmt: skip


class _Line(NamedTuple):
    name: str
    shape: str
    operation: str
    rest: str


def work(text: str) -> Work:
    """Work of one run of the program with this optimised text (HLO)."""
    computations = dict(_computations(text))
    return _work_of(computations, "ENTRY")


def _computations(text: str) -> Iterator[tuple[str, list[_Line]]]:
    name, lines = None, []
    for line in text.splitlines():
        if head := _COMPUTATION.match(line):
            name, lines = "ENTRY" if head[1] else head[2], []
        elif line.startswith("}") and name is not None:
            yield name, lines
            name = None
        elif found := _INSTRUCTION.match(line):
            lines.append(_Line(*found.groups()))


def _work_of(computations: Mapping[str, list[_Line]], name: str) -> Work:
    total = Work()
    for line in computations[name]:
        if line.operation in _FREE:
            continue
        inner = [each for each in _CALLED.findall(line.rest) if each in computations]
        if line.operation == "while":
            trips = _TRIPS.search(line.rest)
            for each in inner:
                total = total.plus(_work_of(computations, each), int(trips[1]) if trips else 1)
            total = total._replace(unknown_loops=total.unknown_loops + (trips is None))
        elif line.operation in ("call", "conditional"):
            for each in inner:
                total = total.plus(_work_of(computations, each))
        else:
            total = total.plus(Work(1, _bytes(line.shape) if _only_moves(computations, line, inner) else 0))
    return total


def _only_moves(computations: Mapping[str, list[_Line]], line: _Line, inner: list[str]) -> bool:
    """Whether a kernel copies numbers and computes none; what is computed to find a place is not counted."""
    if line.operation != "fusion":
        return line.operation in _MOVES
    parts = [part for each in inner for part in computations[each] if part.operation not in _FREE]
    if any(part.operation in _IN_PLACE for part in parts):
        return False
    numbers = [part for part in parts if re.search(r"\bb?f\d", part.shape)]
    return bool(numbers) and all(part.operation in _MOVES for part in numbers)


def multiplied(text: str) -> list[str]:
    """Types of the numbers that this program's matrix products multiply, such as f16 where fp8 was widened first."""
    kinds = set[str]()
    for _, lines in _computations(text):
        shapes = {line.name: line.shape for line in lines}
        for line in lines:
            if line.operation == "dot" or _PRODUCT.search(line.rest):
                operands = _OPERAND.findall(line.rest.partition(")")[0])[:2]
                kinds.update(shapes[each].partition("[")[0] for each in operands)
    return sorted(kinds)


def _bytes(shape: str) -> int:
    widths = {"pred": 1, "bf16": 2}
    size = lambda kind: widths.get(kind) or int(re.findall(r"\d+", kind)[0]) // 8
    return sum(
        size(kind) * math.prod(int(n) for n in lengths.split(",") if n)
        for kind, lengths in _ARRAY.findall(shape)
    )


def registers(said: str) -> tuple[int, int]:
    """Most registers of any kernel, and most bytes that one spills, from what `ptxas --verbose` says."""
    most = lambda pattern: max(map(int, re.findall(pattern, said)), default=0)
    return most(r"Used (\d+) registers"), most(r"(\d+) bytes spill stores")
