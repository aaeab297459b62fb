"""What every adapter does around its peer: read rows, answer them, count evaluations per second, write JSON.

Runs in the peer's environment, so it needs the standard library alone. In: `{"rows": [...], "seconds": s}` on
stdin. Out: `{"version", "setup_s", "answers": [{"id", "tpot_ms", ...} | {"id", "reason"}], "per_s": {...}}` on stdout.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TextIO

Row = dict[str, Any]
Evaluate = Callable[[], Any]
"""One evaluation of one row: its times, as the peer says them."""

SAMPLE = 8  # rows of which the evaluations from names are counted


class Unanswered(Exception):
    """Why the peer has no answer for a row, in a few words."""


def tpot_alone(tpot_ms: float) -> dict[str, float]:
    """The answer of a peer that says the time per output token in ms."""
    return {"tpot_ms": float(tpot_ms)}


class Peer(NamedTuple):
    """What an adapter says about its peer."""

    version: str
    shared: Callable[[Row], Hashable]  # rows that agree in it share what the peer loads
    prepared: Callable[[Row], Evaluate]  # everything that the rows share is looked up before the call
    from_names: Callable[[Row], Evaluate]  # one call from the names of hardware and model to the answer
    reasons: Mapping[str, str]  # kind of error that the peer raises -> what it means
    times: Callable[[Any], dict[str, float]] = tpot_alone  # an evaluation of `prepared` in ms, by metric


class Counted(NamedTuple):
    """Evaluations and the seconds that they took."""

    n: int
    seconds: float

    @property
    def per_s(self) -> float | None:
        """Evaluations per second; none where nothing was counted."""
        return self.n / self.seconds if self.n else None


def counted(calls: Sequence[Callable[[], Any]], seconds: float) -> Counted:
    """Whole rounds of the calls, at least one, until the seconds are over."""
    start, n = time.perf_counter(), 0
    while calls:
        for call in calls:
            call()
        n += len(calls)
        if time.perf_counter() - start >= seconds:
            break
    return Counted(n, time.perf_counter() - start)


def together(parts: Iterable[Counted]) -> Counted:
    """All parts as one count."""
    parts = list(parts)
    return Counted(sum(part.n for part in parts), sum(part.seconds for part in parts))


def spread(rows: Sequence[Row], n: int = SAMPLE) -> list[Row]:
    """At most `n` rows at even distances."""
    step = max(1, -(-len(rows) // n))
    return list(rows[::step])


def answered(peer: Peer, rows: Sequence[Row], seconds: float) -> dict[str, Any]:
    """The answers of a peer to the rows, and its evaluations per second once all is loaded."""
    start, counting = time.perf_counter(), 0.0
    answers: list[Row] = []
    able: list[Row] = []
    parts: list[Counted] = []
    key = lambda row: repr(peer.shared(row))
    groups = [list(group) for _, group in groupby(sorted(rows, key=key), key)]
    for group in groups:
        found, calls = _group(peer, group)
        answers += found
        able += [row for row, answer in zip(group, found, strict=True) if "tpot_ms" in answer]
        parts.append(counted(calls, seconds / len(groups)))
        counting += parts[-1].seconds
    setup = time.perf_counter() - start - counting
    sample = spread(able)
    named = [_warm(peer.from_names(row), seconds / len(sample)) for row in sample]
    per_s = {"from_names": together(named).per_s, "prepared": together(parts).per_s}
    return {"version": peer.version, "setup_s": setup, "answers": answers, "per_s": per_s}


def _group(peer: Peer, rows: Sequence[Row]) -> tuple[list[Row], list[Evaluate]]:
    """An answer for each row, and the evaluations of those that have one."""
    answers, calls = [], []
    for row in rows:
        try:
            call = peer.prepared(row)
            answers.append({"id": row["id"], **peer.times(call())})
            calls.append(call)
        except Exception as error:  # the peer's own errors are reasons, and the next row may do
            answers.append({"id": row["id"], "reason": reason(peer, error)})
    return answers, calls


def reason(peer: Peer, error: Exception) -> str:
    """The words of the adapter, or the kind of error that the peer raised."""
    kind = type(error).__name__
    return str(error) if isinstance(error, Unanswered) else peer.reasons.get(kind, f"it raised {kind}")


def _warm(call: Evaluate, seconds: float) -> Counted:
    call()
    return counted([call], seconds)


def serve(peer: Callable[[], Peer]) -> None:
    """Answer what stands on stdin; whatever the peer prints goes to stderr."""
    out = _own_stdout()
    start = time.perf_counter()
    ready = peer()
    imports = time.perf_counter() - start
    asked = json.load(sys.stdin)
    found = answered(ready, asked["rows"], asked["seconds"])
    with out:
        json.dump({**found, "setup_s": found["setup_s"] + imports}, out)


def _own_stdout() -> TextIO:
    """The real stdout; the descriptor that the peer's code prints to becomes stderr."""
    own = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return own
