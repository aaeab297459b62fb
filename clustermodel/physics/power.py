"""What an accelerator board draws: a floor, a saturating rise with arithmetic and traffic, and a cap."""

import equinox as eqx
import jax
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.transformer import expert_coverage, weights
from clustermodel.physics.work import Demand, Tokens, Work, rank_tokens, work
from clustermodel.specs import quantity


class BoardPower(eqx.Module):
    """Coefficients of one kind of accelerator board; W, and plain weights of the two utilisations."""

    idle: Scalar = quantity("W", "no context loaded")
    stalled: Scalar = quantity("W", "engine running, no work: the floor while serving")
    awake: Scalar = quantity("W", "intercept of the saturating form")
    saturated: Scalar = quantity("W", "asymptote of the saturating form, before the cap")
    flops_weight: Scalar = quantity("", "rise per unit of arithmetic utilisation")
    bytes_weight: Scalar = quantity("", "rise per unit of memory-bandwidth utilisation")
    multi_accelerator: Scalar = quantity("W", "offset where several accelerators share a model", least=-1e9)
    cap: Scalar = quantity("W", "power that the board's own control holds")
    padding_rows: Scalar = quantity("", "rows that a 16-bit product with a touched expert is padded by")


class Phases(eqx.Module):
    """One number for each thing an accelerator can be doing: W, s, J or a share of time."""

    prefill: Scalar
    decode: Scalar
    stalled: Scalar
    idle: Scalar

    @property
    def total(self) -> Scalar:
        """Sum over the phases."""
        return self.prefill + self.decode + self.stalled + self.idle


class Utilisation(eqx.Module):
    """Achieved over peak rates of one phase: FLOP/s of the running precision, and B/s of the nearest tier."""

    flops: Scalar
    bytes: Scalar


def executed_work(deployment: Deployment, tokens: Tokens, padding_rows: Scalar) -> Demand:
    """Work of one iteration as the accelerator executes it, padding included (s at peak rates).

    Traffic is that of the nearest tier, which the board's power covers; farther tiers have a power of their own
    (`chassis.memory_power`).

    Products with routed experts come in tiles: each touched expert multiplies `padding_rows` more rows than it
    was sent, twice as many with 8-bit weights, whose block-scaled kernels align every expert to 128 rows [docs
    of DeepGEMM: contiguous grouped layout]. They do no useful work and draw power all the same:
    2 rows params coverage / rate.
    """
    d, need = deployment, work(deployment, tokens)
    touched = expert_coverage(d.model, rank_tokens(d, tokens), d.coefficients.coverage_skew)
    rows = padding_rows * jnp.where(d.formats.expert_bytes == 1, 2.0, 1.0)
    padding = 2 * rows * touched * weights(d.model).experts / d.layout.stage / d.formats.expert_rate
    return Demand(near_traffic(d, need), need.total.arithmetic + padding)


def near_traffic(deployment: Deployment, need: Work) -> Scalar:
    """Seconds in which the nearest tier is read at its peak, of all traffic of an iteration."""
    parts = {"dense": need.dense, "experts": need.experts, "head": need.head, "cache": need.attention}
    near = (part.traffic * deployment.near_share(kind) for kind, part in parts.items())
    return sum(near, need.prefill_attention.traffic)


def uncapped_power(
    coefficients: BoardPower, flops_utilisation: Scalar, bytes_utilisation: Scalar, is_multi: Scalar
) -> Scalar:
    """Board power (W) if the power control did not intervene; see `board_power`."""
    c = coefficients
    activity = c.flops_weight * flops_utilisation + c.bytes_weight * bytes_utilisation
    return c.awake - (c.saturated - c.awake) * jnp.expm1(-activity) + c.multi_accelerator * is_multi


def board_power(
    coefficients: BoardPower, flops_utilisation: Scalar, bytes_utilisation: Scalar, is_multi: Scalar
) -> Scalar:
    """Mean board power (W) of one accelerator while it serves.

    P = clip(P_awake + (P_sat - P_awake) (1 - exp(-(cF uF + cB uB))) + P_multi [n > 1], P_stalled, P_cap)

    `flops_utilisation` is executed FLOP/s (`executed_work`) over the dense peak of the *running* precision,
    `bytes_utilisation` achieved B/s over the peak of the nearest tier, both of the phase as it runs, launches
    included; `is_multi` is 1 where several accelerators share a model. Fit: configs/calibration/power.toml.
    """
    power = uncapped_power(coefficients, flops_utilisation, bytes_utilisation, is_multi)
    return jnp.clip(power, coefficients.stalled, coefficients.cap)


def soft_board_power(
    coefficients: BoardPower,
    flops_utilisation: Scalar,
    bytes_utilisation: Scalar,
    is_multi: Scalar,
    knee: Scalar,
) -> Scalar:
    """`board_power` with a cap rounded over `knee` watts, for gradients at the cap; it never exceeds the cap.

    P_soft = P_cap - knee log(1 + exp((P_cap - P) / knee))
    """
    power = uncapped_power(coefficients, flops_utilisation, bytes_utilisation, is_multi)
    capped = coefficients.cap - knee * jax.nn.softplus((coefficients.cap - power) / knee)
    return jnp.maximum(capped, coefficients.stalled)


def phase_power(
    coefficients: BoardPower, prefill: Utilisation, decode: Utilisation, is_multi: Scalar
) -> Phases:
    """Board power (W) in each phase; a stalled accelerator waits awake, an idle one has nothing loaded."""
    return Phases(
        prefill=board_power(coefficients, prefill.flops, prefill.bytes, is_multi),
        decode=board_power(coefficients, decode.flops, decode.bytes, is_multi),
        stalled=coefficients.stalled,
        idle=coefficients.idle,
    )


def phase_energy(power: Phases, time: Phases) -> Phases:
    """Energy (J) spent in each phase of a run; its total is the energy of the run."""
    return jax.tree.map(jnp.multiply, power, time)


def mean_power(power: Phases, time: Phases) -> Scalar:
    """Power (W) averaged over the time spent in each phase; `time` in s or as shares."""
    return phase_energy(power, time).total / time.total
