"""The errors of the model on measurements, in short: everything together, and each mode of serving."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from clustermodel.report.figures import count, figure, label, words
from clustermodel.report.headline import Headline, told
from clustermodel.report.records import chosen, titled

SHORT = ("all", "mode", "seen")
"""Groupings on the screen; JSON and CSV have every other one too."""
_WITH_ERRORS = (("median_abs_pct", "median_se"), ("p90_abs_pct", "p90_se"))


def validation(answer: Mapping[str, Any]) -> Headline:
    """The error of the time per output token over all rows, or of another metric where none has one.

    Where every row is flagged, it is the error of those.
    """
    overall = [group for group in answer["groups"] if group["by"] == "all"]
    unfit = "" if overall else ", all of them flagged as unfit to judge by"
    overall = overall or answer["groups"]
    best = next((group for group in overall if group["metric"] == "tpot_ms"), overall[0])
    return Headline(
        "Predictions against measurements",
        f"{figure(best['median_abs_pct'])} % median error of the {label(best['metric'])}",
        f"Nine tenths of the rows ({best['n']:,}{unfit}) are within {figure(best['p90_abs_pct'])} %; "
        f"the bias is {figure(best['bias_pct'])} %.",
    )


def scores(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Absolute errors (median and 90th percentile) and bias by metric; then what could not be predicted."""
    yield from told(validation(answer))
    table = titled(("metric", "group"), ("n", "median", "p90", "bias"))
    groups = [group for group in answer["groups"] if group["by"] in SHORT] or answer["groups"]
    for group in groups:
        errors = (figure(group[name]) for name in ("median_abs_pct", "p90_abs_pct", "bias_pct"))
        table.add_row(group["metric"], _label(group), count(group["n"]), *errors)
    yield table
    yield Text("|error| and bias in %")
    left_out = sorted({group["by"] for group in answer["groups"]} - {group["by"] for group in groups})
    if left_out:
        yield Text(f"also by {', '.join(map(words, left_out))}: --format csv or json")
    for row in answer["skipped"]:
        yield Text(f"skipped {count(row['n'])}: {row['reason']}")
    beaten = [row["reason"] for row in answer["bounds_above_measurement"]]
    for reason in dict.fromkeys(beaten):
        yield Text(f"bound above the measurement {count(beaten.count(reason))}: {reason}")
    yield from unseen(answer["cross_validation"])
    yield from beside_peer(answer)


def _label(group: Mapping[str, Any]) -> str:
    """The name of a group; modes are names by themselves."""
    return str(group["key"]) if group["by"] in ("all", "mode") else f"{group['by']} {group['key']}"


def unseen(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Errors on rows left out of the fit, all sources together, and how many of them the 80 % ranges hold."""
    held = {
        (row["left_out"], "aggregated", row["metric"]): row["coverage"]
        for row in found["coverage"]
        if row["source"] == "all"
    }
    table = titled(("left out", "mode", "metric"), ("n", "median", "p90", "held"))
    for row in found["errors"]:
        if row["source"] == "all":
            inside = held.get((row["left_out"], row["mode"], row["metric"]))
            errors = (f"{figure(row[name])} ± {figure(row[se])}" for name, se in _WITH_ERRORS)
            share = "" if inside is None else figure(inside * 100)
            table.add_row(row["left_out"], row["mode"], row["metric"], count(row["n"]), *errors, share)
    yield table
    yield Text("rows left out of the fit, |error| in %; held: by the 80 % range of the prediction, %")
    yield Text(f"cross-validation of {found['date']}; clustermodel validate --cross-validate repeats it")


def beside_peer(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Our errors and a peer's on the rows that it answers: those that the fit has seen, and those left out of it."""
    if not answer["peer"]:
        return
    table = titled(("rows", "metric"), ("n", "ours", answer["peer"]))
    seen = [("seen by the fit", row) for row in answer["groups"] if row["by"] == "all"]
    left_out = [
        (f"{row['left_out']} left out", row)
        for row in answer["cross_validation"]["errors"]
        if (row["source"], row["mode"]) == ("all", "aggregated")
    ]
    for rows, row in (*seen, *left_out):
        if row.get("peer_n"):
            errors = (_pair(row, who) for who in ("beside_peer", "peer"))
            table.add_row(rows, row["metric"], count(row["peer_n"]), *errors)
    yield table
    yield Text("median / p90 of |error| in % on the rows that the peer answers")


def _pair(row: Mapping[str, Any], who: str) -> str:
    return f"{row[f'{who}_median_abs_pct']:.1f} / {row[f'{who}_p90_abs_pct']:.0f}"


def calibration(answer: Mapping[str, Any]) -> Headline:
    """How far a user's own measurements were missed, and by how much they are missed now."""
    first = answer["errors"][0]
    when = "after" if first["left_out_median_abs_pct"] is None else "left_out"
    error, others = first[f"{when}_median_abs_pct"], _LEARNT_FROM[when]
    return Headline(
        "Your measurements against the model",
        f"{figure(error)} % median error of the {label(first['metric'])} {others}",
        f"{figure(first['before_median_abs_pct'])} % with what ships, on {count(first['n'])} measured.",
    )


_LEARNT_FROM = {"after": "once it is learnt", "left_out": "of points left out, by the others"}


def learnt(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Errors before, after and on points left out; the coefficients that moved; rows that taught nothing."""
    yield from told(calibration(answer))
    table = titled(("metric",), ("n", "before", "after", "left out"))
    for row in answer["errors"]:
        each = (
            f"{figure(row[f'{when}_median_abs_pct'])} / {figure(row[f'{when}_p90_abs_pct'])}"
            for when in ("before", "after", "left_out")
        )
        table.add_row(row["metric"], count(row["n"]), *each)
    yield table
    yield Text("median / p90 of |error| in %")
    if moved := [row for row in answer["shifts"] if row["shift"]]:
        yield chosen(moved, _SHIFTS)
    for row in answer["skipped"]:
        yield Text(f"skipped {count(row['n'])}: {row['reason']}")


_SHIFTS = {
    "system": ("system", str),
    "model": ("model", str),
    "engine": ("engine", str),
    "points": ("points", count),
    "coefficient": ("coefficient", words),
    "shift": ("shift", figure),
}
"""Shifts are of the logarithm of a scale, or of the logit of a share."""
