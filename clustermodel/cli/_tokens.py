"""What a million tokens cost: on one system, on several, and against speed."""

from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import APIS, QUESTION, SYSTEM, SYSTEMS


@command(SYSTEM, *QUESTION)
def cost(ask: Ask) -> Answer:
    """Cost per million tokens of a model on a system, what limits it, and where time and money go.

    Example: clustermodel cost --system hgx-h200 --model llama-3.1-70b --precision fp8 --max-tpot-ms 50
    """
    from clustermodel import chain

    answer = chain.cost(ask.catalog, ask.question())
    _remark_on_targets(ask)
    return answer


@command(SYSTEMS, APIS, *QUESTION)
def compare(ask: Ask) -> Answer:
    """Cost per million tokens of a model on several systems, the cheapest first; --apis: own, rent or call?

    Example: clustermodel compare --systems hgx-h200,hgx-b200,mi355x --model llama-3.1-70b --max-tpot-ms 50
    """
    from clustermodel import chain

    systems = ask.options.pop("systems")
    apis = ask.options.pop("apis", [])
    answer = chain.compare_sources(ask.catalog, ask.question(system=systems[0]), systems, apis)
    _remark_on_targets(ask)
    return answer


@command(SYSTEMS, *QUESTION)
def frontier(ask: Ask) -> Answer:
    """Cost and throughput against the speed that one user sees, for each system.

    Example: clustermodel frontier --systems hgx-h200,hgx-b200 --model llama-3.1-70b --precision fp8
    """
    from clustermodel import chain

    systems = ask.options.pop("systems")
    return chain.frontier(ask.catalog, ask.question(system=systems[0]), systems)


def _remark_on_targets(ask: Ask) -> None:
    if not {"max_ttft_ms", "max_tpot_ms", "concurrency", "rate"} & ask.options.keys():
        ask.say("no target and no load given: the point shown is the cheapest, however slow")
