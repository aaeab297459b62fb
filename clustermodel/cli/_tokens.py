"""What a million tokens cost: on one system, on several, and against speed."""

import typer

from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import APIS, AXES, DTYPE, EXHAUSTIVE, POINTS, QUESTION, SWEPT, SYSTEM, SYSTEMS
from clustermodel.files import unwritable


@command(SYSTEM, *QUESTION, fused=True)
def cost(ask: Ask) -> Answer:
    """Cost per million tokens of a model on a system, what limits it, and where time and money go.

    Example: clustermodel cost --system hgx-h200 --model llama-3.1-70b --precision fp8 --max-tpot-ms 50
    """
    from clustermodel import chain

    answer = chain.cost(ask.catalog, ask.question())
    ask.refuse_unused()
    _remark_on_targets(ask)
    return answer


@command(SYSTEMS, APIS, *QUESTION, fused=True)
def compare(ask: Ask) -> Answer:
    """Cost per million tokens of a model on several systems, the cheapest first; --apis: own, rent or call?

    Example: clustermodel compare --systems hgx-h200,hgx-b200,mi355x --model llama-3.1-70b --max-tpot-ms 50
    """
    from clustermodel import chain

    systems = ask.options.pop("systems")
    apis = ask.options.pop("apis", [])
    answer = chain.compare_sources(ask.catalog, ask.question(system=systems[0]), systems, apis)
    ask.refuse_unused()
    _remark_on_targets(ask)
    return answer


@command(SYSTEMS, EXHAUSTIVE, *AXES, POINTS, DTYPE, *QUESTION, fused=True)
def frontier(ask: Ask) -> Answer:
    """Cost and throughput against the speed that one user sees, for each system; --exhaustive over many axes at once.

    Example: clustermodel frontier --systems hgx-h200,hgx-b200 --model llama-3.1-70b --precision fp8
    """
    from clustermodel import chain

    systems, file = ask.options.pop("systems"), ask.options.pop("points", None)
    numbers = {"dtype": ask.options.pop("dtype")} if "dtype" in ask.options else {}
    exhaustive = ask.options.pop("exhaustive", False)
    axes = {name: ask.options.pop(axis) for axis, name in SWEPT.items() if axis in ask.options}
    if not exhaustive and (axes or file or numbers):
        raise typer.BadParameter("axes, --points and --dtype are for a sweep; add --exhaustive")
    if not exhaustive:
        answer = chain.frontier(ask.catalog, ask.question(system=systems[0]), systems)
        ask.refuse_unused()
        return answer
    from clustermodel.sweep import Axes, check_table, write_table
    from clustermodel.sweep import exhaustive as sweep

    if file:
        check_table(file)
        if problem := unwritable(file):
            raise typer.BadParameter(problem, param_hint="--points")
    answer = sweep(ask.catalog, ask.question(system=systems[0]), systems, Axes(**axes), **numbers)
    ask.refuse_unused()
    ask.say(f"{answer['points_evaluated']:,} points, {answer['points_per_s']:,.0f} a second")
    if file:
        write_table(answer["points"], file)
    return answer


def _remark_on_targets(ask: Ask) -> None:
    if not {"max_ttft_ms", "max_tpot_ms", "concurrency", "rate"} & ask.options.keys():
        ask.say("no target and no load given: the point shown is the cheapest, however slow")
