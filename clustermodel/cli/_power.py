"""What a deployment draws, phase by phase and level by level."""

from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import QUESTION, SYSTEM


@command(SYSTEM, *QUESTION, fused=True)
def power(ask: Ask) -> Answer:
    """Watts by phase and level, joules per token, tokens per megawatt, and what a power cap would do.

    Example: clustermodel power --system hgx-b200 --model llama-3.1-70b --precision fp8 --max-tpot-ms 50
    """
    from clustermodel import chain

    answer = chain.power(ask.catalog, ask.question())
    ask.refuse_unused()
    return answer
