"""How fast the program and the machine are: one line a case, and the machine."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from clustermodel.report.figures import count, figure, percent
from clustermodel.report.records import titled

HUNDRED = 100


def cases(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Configurations per second against this machine's rates and against a kernel of the same operations."""
    yield _machine(answer, answer["dtype"])
    limits = ("of the\nlimit", "of the same\noperations")
    table = titled(("case", "model"), ("configurations\na second", "compile\ns", *limits))
    for case in answer["cases"]:
        speed, compiled = count(round(case["configurations_per_s"])), figure(case["compile_s"])
        shares = [percent(case["fraction_of_limit"]), percent(case["fraction_of_same_operations"])]
        table.add_row(case["name"], case["model"], speed, compiled, *shares)
    yield table
    for kind, rows in answer["profiles"].items():
        table = titled((f"{kind}: operation",), ("count", "ns each", "of the time"))
        for row in rows:
            table.add_row(
                row["operation"], count(row["count"]), figure(row["ns_each"]), percent(row["share"])
            )
        yield table
    for kind, case in {
        case["model_kind"]: case for case in answer["cases"] if "largest_error" in case
    }.items():
        most, usual = figure(case["largest_error"]), figure(case["error_p999"])
        yield Text(f"{kind}: float32 is off by {most} at most, by less than {usual} in 99.9 % of the outputs")


def limits(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What a machine reaches beside its peaks, the coefficients that follow, and watts."""
    entry = answer["accelerator"] or "not in the catalogue"
    yield _machine(answer, f"{entry}; peaks: {answer['peaks']}")
    table = titled(("measured", "numbers"), ("size", "rate or\ntime", "unit", "of the\npeak"))
    for row in answer["measurements"]:
        share = row["percent_of_peak"]
        value, unit = _readable(row["value"], row["unit"])
        shown = percent(None if share is None else share / HUNDRED)
        table.add_row(row["name"].replace("_", " "), row["kind"], count(row["size"]), value, unit, shown)
    yield table
    table = titled(("coefficient",), ("here", "shipped", "unit"))
    for row in answer["coefficients"]:
        here, shipped = (_readable(row[name], row["unit"]) for name in ("here", "shipped"))
        table.add_row(row["coefficient"].replace("_", " "), here[0], shipped[0], here[1])
    yield table
    for row in answer["power"]:
        mark = "; counter and polls disagree" if row["flagged"] else ""
        yield Text(f"{row['activity']}: {figure(row['watts'])} W{mark}")


def serving(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """A real decoder's times beside the model's, before and after self-calibration."""
    scale = "" if answer["scale"] == 1 else f", scaled down by {answer['scale']}"
    size = (
        f"{answer['model']}{scale}: {figure(answer['parameters'] / 1e6)} M parameters in {answer['numbers']}"
    )
    yield _machine(answer, size)
    yield Text(
        f"decode and full forward differ by {figure(answer['decode_against_forward'])} of the largest logit"
    )
    titles = (
        "batch",
        "context",
        "ms",
        "tokens\na second",
        "of the\nroofline",
        "model\nms",
        "calibrated\nms",
        "J a\ntoken",
    )
    table = titled(("phase",), titles)
    for row in answer["points"]:
        fields = ("measured_ms", "tokens_per_s", "before_ms", "after_ms", "joules_per_token")
        taken, rate, before, after, energy = (figure(row.get(name)) for name in fields)
        share = percent(row["percent_of_roofline"] / HUNDRED)
        table.add_row(
            row["phase"],
            count(row["batch"]),
            count(row["context"]),
            taken,
            rate,
            share,
            before,
            after,
            energy,
        )
    yield table


def _machine(answer: Mapping[str, Any], what: str) -> Text:
    words = (answer["device"], f"{answer['cores']} cores", f"jax {answer['jax']}", what)
    return Text(", ".join(map(str, words)), style="bold")


def _readable(value: float, unit: str) -> tuple[str, str]:
    """A rate in G or T, a time in us, anything else as it is."""
    if unit == "s":
        return figure(1e6 * value), "us"
    if not unit.endswith("/s"):
        return figure(value), unit
    return (figure(value / 1e12), f"T{unit}") if value >= 1e12 else (figure(value / 1e9), f"G{unit}")
