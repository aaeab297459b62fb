"""What an uncached input, a cached input and an output token cost of a deployment's bill.

Every class of tokens occupies the deployment for some time (or FLOPs) per token; the bill, less what is owed
for keeping cached prefixes, is shared out in proportion to it, idle time pro rata:

    c_j = (B - h_k r_k) w_j / sum_i r_i w_i  [+ h for cached tokens]      so that      sum_j r_j c_j = B

B bill (USD/s), r_j tokens of class j per second, w_j occupation per token, h holding cost per cached token.
No rate is ever divided by, so the price of a class of which there are no tokens is its finite marginal price.
"""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.scenarios import TokenPrices as TokenPrices
from clustermodel.serving.phases import Phases
from clustermodel.specs import quantity
from clustermodel.units import MILLION, SECONDS_PER_HOUR


class TokenRates(eqx.Module):
    """Tokens per second of the deployment."""

    uncached: Scalar = quantity("tok/s", "input tokens that are prefilled")
    cached: Scalar = quantity("tok/s", "input tokens served from the prefix cache")
    output: Scalar = quantity("tok/s", "generated tokens")

    @property
    def input(self) -> Scalar:
        """All input tokens per second."""
        return self.uncached + self.cached

    @property
    def total(self) -> Scalar:
        """All tokens per second."""
        return self.input + self.output


class UnitCost(eqx.Module):
    """Cost of one token of each class (USD/token); NaN where an allocation leaves a class without a price."""

    input: Scalar = quantity("USD/tok", "one uncached input token")
    reload: Scalar = quantity("USD/tok", "one cached input token: the time it takes")
    holding: Scalar = quantity("USD/tok", "one cached input token: keeping it until it is used again")
    output: Scalar = quantity("USD/tok", "one generated token")
    blended: Scalar = quantity("USD/tok", "the bill over all tokens")

    @property
    def cached_input(self) -> Scalar:
        """One input token served from the prefix cache (USD/token)."""
        return self.reload + self.holding


def token_costs(bill: Scalar, rates: TokenRates, phases: Phases, holding: Scalar) -> UnitCost:
    """Share a bill among the tokens by the time (`time_weighted`) or FLOPs (`flops_weighted`) each takes.

    Args:
        bill: cost of the deployment (USD/s), cost of the cache's memory included.
        rates: tokens per second.
        phases: time or FLOPs per token of each class; at least one class with tokens takes some.
        holding: cost of keeping one cached token until its next use (USD/token), see `holding_cost`.
    """
    busy = rates.uncached * phases.prefill + rates.cached * phases.reload + rates.output * phases.decode
    price_of_time = (bill - holding * rates.cached) / busy
    return UnitCost(
        input=price_of_time * phases.prefill,
        reload=price_of_time * phases.reload,
        holding=holding,
        output=price_of_time * phases.decode,
        blended=bill / rates.total,
    )


def disaggregated_costs(
    prefill_bill: Scalar, decode_bill: Scalar, rates: TokenRates, phases: Phases, holding: Scalar
) -> UnitCost:
    """Each pool's bill is shared among its tokens: input by the prefill pool, output by the decode pool.

    The prefix cache belongs to the prefill pool. [DeepSeek open-infra-index, day 6, sizes its pools this way]
    """
    none = jnp.zeros_like(holding)
    prefill = token_costs(prefill_bill, rates, Phases(phases.prefill, phases.reload, none), holding)
    decode = token_costs(decode_bill, rates, Phases(none, none, phases.decode), none)
    return UnitCost(
        input=prefill.input,
        reload=prefill.reload,
        holding=prefill.holding,
        output=decode.output,
        blended=(prefill_bill + decode_bill) / rates.total,
    )


def holding_cost(byte_price: Scalar, token_bytes: Scalar, reuse_interval: Scalar) -> Scalar:
    """Cost of keeping one cached token until its next use (USD/token): bytes x USD/(B s) x s.

    Args:
        byte_price: `levelized.holding_price` of the tier that keeps it (USD/B/s).
        token_bytes: cache bytes of one token (B/token).
        reuse_interval: mean time between two uses (s).
    """
    return byte_price * token_bytes * reuse_interval


def break_even_holding_time(recompute: Scalar, byte_price: Scalar, token_bytes: Scalar) -> Scalar:
    """How long keeping a token's cache is cheaper than prefilling it again (s).

    Args:
        recompute: what its prefill costs beyond its reload (USD/token); of the same model as the bytes.
        byte_price: `levelized.holding_price` of the tier that keeps it (USD/B/s).
        token_bytes: cache bytes of one token (B/token).
    """
    return recompute / (byte_price * token_bytes)


def prefill_cost(active_params: Scalar, achieved_flops: Scalar, cost: Scalar) -> Scalar:
    """Cost of one input token from first principles (USD/token): 2 N FLOPs at the achieved rate.

    Attention is left out, so long prompts cost more.

    Args:
        active_params: N, parameters that work on one token.
        achieved_flops: FLOP/s really done, peak times utilisation.
        cost: of the same hardware (USD/s).
    """
    return 2 * active_params / achieved_flops * cost


def pool_size(rate: Scalar, machine_rate: Scalar) -> Scalar:
    """Machines that a rate of tokens keeps busy (not rounded)."""
    return rate / machine_rate


def revenue(rates: TokenRates, prices: TokenPrices) -> Scalar:
    """What the tokens bring (USD/s)."""
    return rates.uncached * prices.uncached + rates.cached * prices.cached + rates.output * prices.output


def unit_prices(unit: UnitCost) -> TokenPrices:
    """Prices at cost: revenue at them is the bill, exactly, under every allocation that shares it out."""
    return TokenPrices(unit.input, unit.cached_input, unit.output)


def usd_per_mtok(usd_per_hour: Scalar, tok_s: Scalar) -> Scalar:
    """InferenceX's convention: USD per million tokens = USD/h x 1e6 / (3600 tok/s).

    Both per accelerator, or both per deployment. [SemiAnalysisAI/InferenceX process_result.py, 2026-04]
    """
    return usd_per_hour * MILLION / (SECONDS_PER_HOUR * tok_s)


def implied_tok_s(usd_per_hour: Scalar, usd_per_mtok: Scalar) -> Scalar:
    """Throughput behind a published price, by the same convention (tok/s)."""
    return usd_per_hour * MILLION / (SECONDS_PER_HOUR * usd_per_mtok)
