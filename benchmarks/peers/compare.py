"""Errors and evaluations per second of clustermodel and of its peers on the same measured rows, in one run.

`python benchmarks/peers/compare.py [--peers NAMES] [--rows N] [--out FILE]`. Peers are installed at first use, each
into an environment of its own beside this file. All rows: writes results/peers-<device>.json.
"""

import argparse
import datetime
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import pandas as pd

jax.config.update("jax_enable_x64", True)

import measured  # noqa: E402
import ours  # noqa: E402
import scoring  # noqa: E402
import table  # noqa: E402
from command import ended, positive, written  # noqa: E402
from environment import HERE, PEERS, Pinned, asked, environment, say  # noqa: E402

from clustermodel.bench.machine import machine  # noqa: E402
from clustermodel.calibration.cross_validation import stored  # noqa: E402
from clustermodel.catalog import Catalog, load_catalog  # noqa: E402
from clustermodel.process import keep_memory, set_flags  # noqa: E402

set_flags()
keep_memory()

RESULTS = HERE.parent / "results"
BUDGET = 10.0  # seconds of counting evaluations, for each tool and way of asking
LARGEST = "aiconfigurator-silicon"
"""The source of three rows in four."""

HAS_SEEN = {
    "clustermodel": "its coefficients and its effects of model, system, engine and version are fitted to these rows",
    "clustermodel, globals": "the coefficients that all rows share, without effects; fitted to these rows too",
    "aiconfigurator": "interpolates operations measured on the same hardware and on newer versions of the engines; "
    "most of these rows are its authors' own validation sample, which its prediction does not read",
    "vllm-sr-sim": "data sheets and a few constants; as far as its source says, none of these rows",
}
READING = (
    "Evaluations per second: by name, one call from names to the answer; prepared, one point a call with all of "
    "it looked up; batched, many points in one call. An evaluation of clustermodel is TPOT, TTFT, throughput, "
    "memory and bounds; of aiconfigurator TPOT, TTFT, throughput and memory; of vllm-sr-sim TPOT. ours / its: "
    "the best rate of clustermodel over the best rate of the tool. < bound: predictions below the physical bound."
)


def compared(catalog: Catalog, peers: Sequence[str], n: int | None) -> dict[str, Any]:
    """Ask every tool for the same rows; the answer of this command."""
    load, rows = os.getloadavg()[0], measured.measured_rows(catalog, n)
    questions = measured.questions(catalog, rows)
    tools = {name: _peer(PEERS[name], questions) for name in peers}
    say(f"asking clustermodel for {len(rows):,} rows")
    predicted = ours.predictions(catalog, rows)
    for name, found in tools.items():
        predicted[name] = scoring.answers_by_id(found.pop("predictions"))
    tools = _described(_ours(predicted, ours.speed(catalog, rows, BUDGET)) | tools)
    return {
        "kind": "bench-peers",
        "date": datetime.date.today().isoformat(),
        **machine(),
        "load_before": load,
        "rows": {"n": len(rows), "mode": "aggregated", "by_source": rows["source"].value_counts().to_dict()},
        "metric": ours.METRIC,
        "tools": tools,
        **_scores(predicted, list(tools), peers),
        "largest_source": LARGEST,
        "left_out": left_out(catalog),
        "reading": READING,
    }


def _peer(peer: Pinned, questions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Predictions, reasons and speed of a peer."""
    python = environment(peer)
    say(f"asking {peer.requirement} for {len(questions):,} rows")
    found = asked(peer, python, questions, BUDGET)
    answers = found["answers"]
    return {
        "version": found["version"],
        "licence": peer.licence,
        "predictions": answers,
        "answers": len(scoring.answers_by_id(answers)),
        "reasons": scoring.reasons(answers),
        "setup_s": found["setup_s"],
        "per_s": found["per_s"],
    }


def _ours(predicted: pd.DataFrame, per_s: Mapping[str, float | None]) -> dict[str, dict[str, Any]]:
    """The same of clustermodel; its coefficients change its errors and not its speed."""
    shared = {"version": ours.version(), "reasons": {}, "per_s": dict(per_s)}
    return {tool: {**shared, "answers": int(predicted[tool].gt(0).sum())} for tool in ours.EFFECTS}


def _described(tools: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The tools with the ratio of our rate to theirs and what each has seen of the rows."""
    mine = tools["clustermodel"]
    return {
        name: {**tool, "ours_per_its": _ratio(mine, tool), "has_seen": HAS_SEEN[name]}
        for name, tool in tools.items()
    }


def _ratio(mine: Mapping[str, Any], its: Mapping[str, Any]) -> float | None:
    """The best rate of one tool over the best rate of another; none where one was not counted."""
    best, other = (
        max((rate for rate in tool["per_s"].values() if rate), default=0.0) for tool in (mine, its)
    )
    return best / other if best and other else None


def _scores(predicted: pd.DataFrame, tools: Sequence[str], peers: Sequence[str]) -> dict[str, Any]:
    """Errors on the rows that all tools answer, and of each peer beside ours on the rows that it answers."""
    by_peer = {}
    for peer in peers:
        pair = [*ours.EFFECTS, peer]
        index = scoring.common(predicted, pair)
        largest = index[predicted.loc[index, "source"].eq(LARGEST)]
        by_peer[peer] = _on_rows(predicted, pair, index) | {LARGEST: _on_rows(predicted, pair, largest)}
    everyone = scoring.common(predicted, tools)
    return {"common": _on_rows(predicted, tools, everyone), "answered_by": by_peer}


def _on_rows(predicted: pd.DataFrame, tools: Sequence[str], index: pd.Index) -> dict[str, Any]:
    return {"n": len(index), "errors": scoring.on_rows(predicted, tools, index)}


def left_out(catalog: Catalog) -> list[dict[str, Any]]:
    """Our stored errors on aggregated rows that a fit has not seen, of all sources and of the largest."""
    return [
        dict(each)
        for each in stored(catalog)["errors"]
        if (each["mode"], each["metric"]) == ("aggregated", ours.METRIC)
        and each["source"] in ("all", LARGEST)
    ]


def names(text: str) -> list[str]:
    """Peers by name; raises a sentence where one is unknown."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in found if name not in PEERS]:
        raise argparse.ArgumentTypeError(f"unknown peer {unknown[0]!r}: there are {', '.join(PEERS)}")
    return list(dict.fromkeys(found))


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Peers on our measured rows.", exit_on_error=False)
    parser.add_argument("--peers", type=names, default=list(PEERS), help="names, separated by commas")
    parser.add_argument("--rows", type=positive, help="so many rows, drawn by lot; all by default")
    parser.add_argument("--out", type=Path, help="file for the answer as JSON")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Print the table; 2 where the question is wrong, 3 where a peer gives no answer."""
    return ended(lambda: _compare(options(arguments)))


def _compare(asked_for: argparse.Namespace) -> None:
    result, out = compared(load_catalog(), asked_for.peers, asked_for.rows), asked_for.out
    if out is None and asked_for.rows is None:
        out = RESULTS / f"peers-{result['backend']}.json"
    if out is not None:
        written(json.dumps(result, indent=2) + "\n", out)
    print(table.text(result))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
