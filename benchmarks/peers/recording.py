"""Write what aiconfigurator predicts for our measured rows into the table that `validate` shows beside ours.

`python benchmarks/peers/recording.py [--rows N] [--out FILE]`. Rows are asked as `compare.py` asks them. Without
options: all rows, into configs/measurements/peer_predictions.csv.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import pandas as pd

jax.config.update("jax_enable_x64", True)

import measured  # noqa: E402
import scoring  # noqa: E402
from command import ended, positive, written  # noqa: E402
from environment import PEERS, asked, environment, say  # noqa: E402

from clustermodel.calibration.observations import FOLDER  # noqa: E402
from clustermodel.calibration.peers import COLUMNS, METRICS, TABLE  # noqa: E402
from clustermodel.catalog import CONFIGS, load_catalog  # noqa: E402

PEER = "aiconfigurator"
DIGITS = 6
"""Significant, as in the table of measurements."""


def predictions(found: Mapping[str, Any], ids: Sequence[str]) -> pd.DataFrame:
    """The rows that the peer answers, in the order of `ids`."""
    answers = pd.DataFrame(found["answers"], columns=["id", *METRICS]).set_index("id").loc[list(ids)]
    times = answers[answers["tpot_ms"].gt(0)].map(lambda ms: f"{ms:.{DIGITS}g}")
    return times.reset_index().assign(peer=PEER, version=found["version"])[list(COLUMNS)]


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="A peer's predictions of our rows.", exit_on_error=False)
    parser.add_argument("--rows", type=positive, help="so many rows, drawn by lot; all by default")
    parser.add_argument(
        "--out", type=Path, help="file for the table; on the screen where only some rows are asked"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Ask the peer and write its table; 2 where the question is wrong, 3 where the peer gives no answer."""
    return ended(lambda: _record(options(arguments)))


def _record(asked_for: argparse.Namespace) -> None:
    catalog, peer, out = load_catalog(), PEERS[PEER], asked_for.out
    rows = measured.measured_rows(catalog, asked_for.rows)
    python = environment(peer)
    say(f"asking {peer.requirement} for {len(rows):,} rows")
    found = asked(peer, python, measured.questions(catalog, rows), 0.0)
    for reason, n in scoring.reasons(found["answers"]).items():
        say(f"{n:,} rows are not answered: {reason}")
    text = predictions(found, rows["id"].tolist()).to_csv(index=False)
    if out is None and asked_for.rows is None:
        out = CONFIGS / FOLDER / TABLE
    if out is None:
        print(text, end="")
    else:
        written(text, out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
