"""How well the model predicts what has been measured."""

from pathlib import Path

from clustermodel.cli import _readers as read
from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import QUESTION, Option

_POINTS = Option("data", read.path, "FILE.csv", "measurements of your own deployments", required=True)
_DATA = Option("data", read.path, "FILE.csv", "measurements of your own", "those that ship")
_OPTIONS = [option for option in QUESTION if option.name in ("effects", "calibration")]


@command(_DATA, *_OPTIONS, detail="rows")
def validate(ask: Ask) -> Answer:
    """Errors of the predictions on a table of measurements; --out gets one line per row and metric.

    Example: clustermodel validate --data my-measurements.csv --out rows.csv
    """
    from clustermodel.calibration.validate import validation

    data, effects = ask.options.get("data"), ask.options.get("effects", "full")
    calibration = ask.options.get("calibration")
    found = validation(ask.catalog, data, effects, Path(calibration) if calibration else None)
    inputs = {"data": data, "effects": effects, "calibration": calibration}
    return ask.answer("validate", inputs=inputs, **found.to_dict(), rows=found.rows().to_dict("records"))


@command(_POINTS, detail="calibration")
def calibrate(ask: Ask) -> Answer:
    """Coefficients of your own deployments from your measurements, even from one; --out keeps them as TOML.

    The table needs the columns system, model, engine, isl, osl, concurrency and tp, and of tpot_ms, ttft_ms and
    output_tok_s_per_accelerator what was measured. Errors are shown before, after, and on points left out.

    Example: clustermodel calibrate --data my-measurements.csv --out my-calibration.toml
    """
    from clustermodel.calibration.calibrate import calibrate

    data = ask.options["data"]
    found = calibrate(ask.catalog, data)
    ask.say("use it with --calibration FILE (cost, compare, frontier, power, design, validate)")
    return ask.answer("calibrate", **found.to_dict(), calibration=found.to_toml())
