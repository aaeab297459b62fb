"""How well the model predicts what has been measured."""

from pathlib import Path

from clustermodel.cli import _readers as read
from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import QUESTION, Flag, Option

_POINTS = Option("data", read.path, "FILE.csv", "measurements of your own deployments", required=True)
_DATA = Option("data", read.path, "FILE.csv", "measurements of your own", "those that ship")
_OPTIONS = [option for option in QUESTION if option.name in ("effects", "calibration")]


_AGAIN = Flag("cross_validate", "repeat the fit without each model, system and load curve (minutes)")


@command(_DATA, *_OPTIONS, _AGAIN, detail="rows")
def validate(ask: Ask) -> Answer:
    """Errors of the predictions on a table of measurements; --out gets one line per row and metric.

    Example: clustermodel validate --data my-measurements.csv --out rows.csv
    """
    from clustermodel.calibration.cross_validation import cross_validate, stored
    from clustermodel.calibration.validate import validation

    data, effects = ask.options.get("data"), ask.options.get("effects", "full")
    calibration = ask.options.get("calibration")
    found = validation(ask.catalog, data, effects, Path(calibration) if calibration else None)
    again = "cross_validate" in ask.options
    unseen = cross_validate(ask.catalog, ask.progress) if again else stored(ask.catalog)
    left_out = {name: unseen[name] for name in ("date", "errors", "coverage")}
    inputs = {"data": data, "effects": effects, "calibration": calibration, "cross_validate": again}
    rows = found.rows().to_dict("records")
    return ask.answer("validate", inputs=inputs, **found.to_dict(), cross_validation=left_out, rows=rows)


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
