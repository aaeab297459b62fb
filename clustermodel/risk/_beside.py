"""Numbers of contracts that stand beside the cash flow: known of a deal, and moving no figure of a scenario."""

from collections.abc import Iterator, Sequence

from clustermodel.catalog import Catalog, ConfigError, Entry
from clustermodel.scenarios import Contract

_DEALS, _OPTIONS = "clustermodel.economics.deals counts it", "clustermodel.economics.options prices it"
BESIDE = {
    "power": _DEALS,
    "makeup": "clustermodel.economics.contracts.makeup_bills bills with it",
    "refresh": _OPTIONS,
    "buyer_hardware": _DEALS,
    "vendor_funding": _DEALS,
    "warrants": _DEALS,
    "payback": _DEALS,
    "credit_margin": "project finance has one rate, scenario.finance.debt_rate",
}
"""Numbers of a contract that capacity is sold by -> where they count instead."""

UNDRAWN = {*BESIDE, "buyers"}
"""Numbers of such a contract whose ranges no path draws: how many buyers there are only counts for concentration."""

PRICED = ("term", "index_share", "price_floor", "price_cap", "prepaid")
"""Numbers of a contract that memory is bought by, which set what it costs; all others stand beside."""

_SUPPLY = "of what is bought, only its price and prepayment count"


def beside(contracts: Sequence[Entry[Contract]], supply: Entry[Contract] | None) -> Iterator[dict[str, str]]:
    """Numbers that are written and move nothing, each with where it counts instead."""
    sold = {contract.slug: contract for contract in contracts}
    for slug, contract in sold.items():
        for field in contract.provenance:
            if field in BESIDE:
                yield {"entry": f"contracts/{slug}", "field": field, "reason": BESIDE[field]}
    if supply and supply.slug not in sold:
        for field in supply.provenance:
            if field not in PRICED:
                yield {"entry": f"contracts/{supply.slug}", "field": field, "reason": _SUPPLY}


def refuse_beside(
    catalog: Catalog, contracts: Sequence[Entry[Contract]], supply: Entry[Contract] | None
) -> None:
    """A number of the user's own must move something."""
    for row in beside(contracts, supply):
        entry, field = row["entry"], row["field"]
        for override in catalog.overrides:
            if catalog.meets(override, *entry.split("/")) and override.field == field:
                raise ConfigError(
                    f"{override}: {field} of {entry} is in no cash flow of a scenario; {row['reason']}"
                )
