"""Where the figures of a machine go: <what>-<device>.json, with what ran them and when."""

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

from clustermodel import __version__
from clustermodel.bench.driver import driver
from clustermodel.bench.machine import machine

FOLDER = Path(__file__).parent / "results"


def options() -> argparse.ArgumentParser:
    """What every benchmark can be told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few and small problems")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="FOLDER", help="where results go")
    return parser


def device_slug(about: dict[str, Any]) -> str:
    """`cpu`, or the device's name in small letters: nvidia-h200."""
    return "cpu" if about["backend"] == "cpu" else "-".join(str(about["device"]).lower().split())


def record(answer: dict[str, Any], what: str, folder: Path) -> dict[str, Any]:
    """Write an answer with machine, driver, versions and date."""
    about = machine()
    head = {"kind": answer["kind"], "version": __version__, "date": datetime.date.today().isoformat()}
    whole = head | about | {"driver": driver()} | answer
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{what}-{device_slug(about)}.json"
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    return whole
