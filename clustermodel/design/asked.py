"""What a design question cannot be asked with: 32-bit numbers, dated prices, rates, shares that move nothing."""

from clustermodel.catalog import ConfigError, require_float64
from clustermodel.chain.question import Question


def mistakes(question: Question, *, dated: str = "", shared: str = "", busy: str = "") -> list[str]:
    """Why a question is refused, in sentences; 32-bit numbers are refused at once.

    Args:
        question: as it is asked.
        dated: why a dated price makes no sense here; empty where it does.
        shared: why sharing the bill among the tokens in another way would change nothing; empty where it would.
        busy: why a rate of requests, which whole systems carry, makes no sense here; empty where it does.
    """
    require_float64("answers to design questions")
    found = []
    if dated and question.cost_basis != "bottom_up":
        found.append(f"--cost-basis {question.cost_basis}: {dated}; use bottom_up, the default")
    if shared and question.allocation != Question.allocation and not question.disaggregated:
        found.append(f"--allocation {question.allocation}: {shared}; leave it out")
    if busy and question.rate is not None:
        found.append(f"--rate: {busy}; leave it out")
    return found


def refuse(question: Question, *, dated: str = "", shared: str = "", busy: str = "") -> None:
    """Raise a `ConfigError` with every mistake."""
    if found := mistakes(question, dated=dated, shared=shared, busy=busy):
        raise ConfigError("\n".join(found))
