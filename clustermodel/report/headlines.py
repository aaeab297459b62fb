"""The answer first: of every kind of answer its title, its one number or name, and the sentence around it."""

from collections.abc import Callable, Mapping
from typing import Any

from clustermodel.report import design, points, power, validation
from clustermodel.report.cost import WALLS, fleet, layout, load
from clustermodel.report.figures import count, figure, several, short, usd, words
from clustermodel.report.headline import Headline

Answer = Mapping[str, Any]


def headline(answer: Answer) -> Headline:
    """The headline of an answer of any kind."""
    return _HEADLINES.get(answer["kind"], _anything)(answer)


def _cost(answer: Answer) -> Headline:
    limit, spread = answer["binding_limit"], (answer.get("uncertainty") or {}).get("usd_per_mtok_total")
    between = (
        f" Eight of ten measurements would lie between {usd(spread[0])} and {usd(spread[1])}."
        if spread
        else ""
    )
    wall = "the target" if limit.startswith("slo_") else words(limit)
    board, meter = (figure(answer[f"{name}_w_per_accelerator"]) for name in ("power", "facility"))
    return Headline(
        f"{answer['model']} on {answer['system']} with {answer['engine']}",
        f"{usd(answer['usd_per_mtok_total'])} per million tokens",
        f"Set by {wall}: {WALLS[limit]}.{between}",
        (
            ("input", f"{usd(answer['usd_per_mtok_input'])} per million"),
            ("cached input", f"{usd(answer['usd_per_mtok_cached_input'])} per million"),
            ("output", f"{usd(answer['usd_per_mtok_output'])} per million"),
            ("speed", f"{figure(answer['interactivity_tok_s_user'])} tok/s a user"),
            ("first token", f"{figure(answer['ttft_ms'])} ms"),
            ("throughput", f"{figure(answer['output_tok_s_per_accelerator'])} output tok/s an accelerator"),
            ("power", f"{board} W board, {meter} W at the meter"),
            ("layout", f"{layout(answer['layout'])}, {several(load(answer), 'request')} in flight"),
            *([("systems", fleet(answer))] if answer["n_systems"] else []),
            ("requests", f"{count(answer['isl'])} tokens in, {count(answer['osl'])} out"),
            ("formats", f"{answer['precision']} weights, {answer['kv_precision']} cache"),
            ("money", f"{words(answer['cost_basis'])}, utilisation {figure(answer['utilisation'])}"),
            ("measured", "yes" if answer["seen"] else "never: predicted from others"),
        ),
    )


def _compare(answer: Answer) -> Headline:
    answered = [point for point in answer["points"] if "reason" not in point]
    best, first = answered[0], next(point for point in answered if "layout" in point)
    rest = ", ".join(f"{point['system']} {usd(point['usd_per_mtok_total'])}" for point in answered[1:])
    return Headline(
        f"{first['model']} from {len(answer['points'])} sources"
        if best is not first
        else f"{first['model']} on {len(answer['points'])} systems",
        f"{best['system']}: {usd(best['usd_per_mtok_total'])} per million tokens",
        f"Then {rest}." if rest else "No other system has an answer.",
        tuple((f"no answer: {row['system']}", row["reason"]) for row in answer["points"] if "reason" in row),
    )


def _risk(answer: Answer) -> Headline:
    name, metric = next(iter(answer["metrics"].items()))
    tail = f"; in the worst twentieth it is {short(metric['cvar95'])} on average" if metric["cvar95"] else ""
    return Headline(
        answer["question"] or str(answer["scenario"]),
        f"{short(metric['mean'])} {metric['unit']}".rstrip(),
        f"Mean of {words(name)}, {metric['meaning']}{tail}.",
        (("scenario", str(answer["scenario"])), ("paths", f"{answer['paths']:,} ({answer['method']})"),
         ("seed", str(answer["seed"]))),
    )  # fmt: skip


def _fleet(answer: Answer) -> Headline:
    bought = answer.get("purchases") or []
    systems: dict[str, float] = {}
    for row in bought:
        systems[row["system"]] = systems.get(row["system"], 0.0) + row["systems"]
    list_of = ", ".join(f"{count(number)} {name}" for name, number in systems.items()) or "nothing to order"
    return Headline(
        str(answer.get("question") or answer.get("problem") or "Fleet plan"),
        list_of,
        f"It costs {short(answer['objective'])} {answer['unit']}; no plan costs less than "
        f"{short(answer['lower_bound'])}: a gap of {figure(100 * answer['gap'])} %.",
        (("solver", str(answer["solver"])), ("status", str(answer["status"]))),
    )


def _listed(answer: Answer) -> Headline:
    return Headline("From the catalogue", f"{len(answer['entries'])} entries", "")


def _capex(answer: Answer) -> Headline:
    guided = sum(row.get("basis") == "guide" for row in answer["rows"])
    return Headline(
        "Capital spending by company",
        f"{len(answer['rows'])} amounts",
        f"{guided} of them are guides; they stand apart from what was reported." if guided else "",
    )


def _anything(answer: Answer) -> Headline:
    return Headline(words(answer["kind"]).capitalize(), "", "")


_HEADLINES: Mapping[str, Callable[[Answer], Headline]] = {
    "cost": _cost,
    "compare": _compare,
    "frontier": points.frontier,
    "power": power.headline,
    "risk": _risk,
    "fleet": _fleet,
    "validate": validation.validation,
    "design_sensitivity": design.sensitivity,
    "design_breakeven": design.breakeven,
    "design_map": design.price_map,
    "design_memory": design.memory,
    "design_claims": design.claims,
    "design_optimize": design.optimum,
    "calibrate": validation.calibration,
    "catalog_list": _listed,
    "capex": _capex,
}
