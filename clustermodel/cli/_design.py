"""Design questions: break-even prices, elasticities, the best server."""

import typer

from clustermodel.cli import _readers as read
from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import QUESTION, SYSTEM, Option

app = typer.Typer(help="At what price a system wins, what an answer hangs on, and what would be best.")

_CANDIDATE = Option("candidate", read.name, "NAME", "system whose price is asked for", required=True)
_REFERENCE = Option("reference", read.name, "NAME", "system to match", required=True)
_OUTPUT = Option("output", read.name, "FIELD", "field of the answer to explain", "usd_per_mtok_total")
_OVER = Option(
    "over",
    read.name,
    "MAP",
    "bandwidth-touched|memory-context|price-utilisation: what the map runs over",
    "bandwidth-touched",
)
_TOP = Option("top", read.whole, "N", "rows to show", "15")
_VARY = Option(
    "vary", read.names, "A,B,...", "some of memory, bandwidth, compute, concurrency", "memory,concurrency"
)
_USD_PER_GB = Option("usd_per_gb", read.number, "USD", "price of memory", "the system's")
_USD_PER_TB_S = Option("usd_per_tb_s", read.number, "USD", "price of a TB/s of bandwidth", "0")
_USD_PER_PFLOP_S = Option("usd_per_pflop_s", read.number, "USD", "price of a PFLOP/s", "0")
_MAX_KW = Option("max_kw", read.number, "KW", "most power at the system's inlet")
_MOST_HITS = Option(
    "most_hits",
    read.number,
    "SHARE",
    "hit rate of an endless prefix cache; memory left free then keeps prefixes",
)


@app.command()
@command(_CANDIDATE, _REFERENCE, *QUESTION)
def breakeven(ask: Ask) -> Answer:
    """The purchase price at which a candidate's tokens cost what the reference's cost.

    Example: clustermodel design breakeven --candidate mi355x --reference hgx-b200 --model llama-3.1-70b --precision fp8
    """
    from clustermodel.design import breakeven as answer

    candidate, reference = ask.options.pop("candidate"), ask.options.pop("reference")
    return answer(ask.catalog, ask.question(system=candidate), candidate, reference)


@app.command(name="map")
@command(_CANDIDATE, _REFERENCE, _OVER, *QUESTION)
def breakeven_map(ask: Ask) -> Answer:
    """The break-even price over two quantities at a time: bandwidth, touched share, memory, context, utilisation.

    Example: clustermodel design map --candidate prometheus-32tb --reference hgx-b200 --model deepseek-v3
    """
    from clustermodel.design import breakeven_map as answer

    candidate, reference = ask.options.pop("candidate"), ask.options.pop("reference")
    given = {"over": ask.options.pop("over")} if "over" in ask.options else {}
    return answer(ask.catalog, ask.question(system=candidate), candidate, reference, **given)


@app.command()
@command(SYSTEM, *QUESTION)
def memory(ask: Ask) -> Answer:
    """Memory as money: its part of a system's price, dated prices, and what keeping cached tokens costs and saves.

    Example: clustermodel design memory --system hgx-b200 --model deepseek-v3 --precision fp8 --max-tpot-ms 50
    """
    from clustermodel.design import memory as answer

    return answer(ask.catalog, ask.question())


@app.command()
@command(_CANDIDATE, _REFERENCE, *QUESTION)
def claims(ask: Ask) -> Answer:
    """What a vendor's claims about a large-memory server come to, and under which workload each holds.

    Example: clustermodel design claims --candidate prometheus-128tb --reference vr200-nvl72 --model hyp-1t-mla
    """
    from clustermodel.design import claims as answer

    candidate, reference = ask.options.pop("candidate"), ask.options.pop("reference")
    return answer(ask.catalog, ask.question(system=candidate), candidate, reference)


@app.command()
@command(SYSTEM, _OUTPUT, _TOP, *QUESTION)
def sensitivity(ask: Ask) -> Answer:
    """How much an answer moves with every number behind it, exactly, the most uncertain first.

    Example: clustermodel design sensitivity --system prometheus-32tb --model llama-3.1-70b --precision fp8
    """
    from clustermodel.design import sensitivity as answer

    output, top = ask.options.pop("output", "usd_per_mtok_total"), ask.options.pop("top", 15)
    if top < 1:
        raise typer.BadParameter(
            f"{top} rows cannot be shown; write a whole number of at least 1", param_hint="--top"
        )
    found = answer(ask.catalog, ask.question(), output)
    return found | {"elasticities": found["elasticities"][:top]}


@app.command()
@command(SYSTEM, _VARY, _USD_PER_GB, _USD_PER_TB_S, _USD_PER_PFLOP_S, _MAX_KW, _MOST_HITS, *QUESTION)
def optimize(ask: Ask) -> Answer:
    """The memory, bandwidth, arithmetic and load at which a system's tokens are cheapest.

    Example: clustermodel design optimize --system prometheus-32tb --model llama-3.1-70b --precision fp8
    """
    from clustermodel.design import optimize as answer
    from clustermodel.design.optimize import Plan

    vary = tuple(ask.options.pop("vary", ["memory", "concurrency"]))
    names = ("usd_per_gb", "usd_per_tb_s", "usd_per_pflop_s", "max_kw", "most_hits")
    given = {name: ask.options.pop(name) for name in names if name in ask.options}
    return answer(ask.catalog, ask.question(), Plan(vary, **given))
