"""What the boards of a replica or of a pool draw while they serve, from the work they execute and its time."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.power import (
    BoardPower,
    Phases,
    Utilisation,
    board_power,
    executed_work,
    phase_power,
)
from clustermodel.physics.tiers import Tiers
from clustermodel.physics.work import Demand, Tokens
from clustermodel.serving.load import Load
from clustermodel.serving.steady import ServingPoint

_SHORTEST = 1e-12  # s or tokens; keeps 0 / 0 of an absent phase at 0


class ServingWork(eqx.Module):
    """Executed work of the mean iteration by phase: s of one accelerator at peak rates."""

    prefill: Demand
    decode: Demand

    @property
    def total(self) -> Demand:
        """Both phases."""
        return self.prefill + self.decode


def serving_work(
    deployment: Deployment, load: Load, batch: Scalar, context: Scalar, padding_rows: Scalar
) -> ServingWork:
    """Work of one output token of each of `batch` running sequences of mean `context` tokens.

    As in `steady.closed_loop` an iteration carries a prefill chunk with the probability that balances input
    and output tokens; prefill is what that chunk adds. Drafted tokens are worked on whether accepted or not.
    """
    batch = jnp.maximum(batch, 1.0)
    balance = batch / deployment.layout.pp * load.uncached / load.osl
    chunk = jnp.maximum(balance, load.chunk(deployment.engine.chunk))
    share = balance / jnp.maximum(chunk, _SHORTEST)

    def executed(prefill: Scalar, drafts: Scalar) -> Demand:
        tokens = Tokens(batch, prefill, context, load.prefill_context, 1 + drafts)
        return executed_work(deployment, tokens, padding_rows)

    none = jnp.zeros_like(batch)
    plain, mixed, verified = executed(none, none), executed(chunk, none), executed(none, load.draft_tokens)
    return ServingWork(
        prefill=Demand(mixed.traffic - plain.traffic, mixed.arithmetic - plain.arithmetic).scaled(share),
        decode=verified.scaled(1 / (1 + load.accepted_tokens)),
    )


def request_work(deployment: Deployment, load: Load, padding_rows: Scalar) -> Demand:
    """Work of the prefill of one request on a worker of its own, chunk by chunk."""
    none = jnp.zeros_like(load.isl)
    chunk = jnp.maximum(load.chunk(deployment.engine.chunk), 1.0)
    tokens = Tokens(none, chunk, load.context, load.prefill_context)
    return executed_work(deployment, tokens, padding_rows).scaled(load.uncached / chunk)


def utilisation(need: Demand, time: Scalar) -> Utilisation:
    """Work at peak rates over the time it takes; a phase without work has none."""
    spent = jnp.maximum(time, _SHORTEST)
    return Utilisation(need.arithmetic / spent, need.traffic / spent)


def serving_power(board: BoardPower, need: Demand, period: Scalar, is_multi: Scalar) -> Scalar:
    """Mean board power (W) of an accelerator that executes `need` in every `period`, waiting included.

    Engines mix prefill and decode in one iteration; the coefficients are fitted on, and valid for, the
    utilisation averaged over both.
    """
    mean = utilisation(need, period)
    return board_power(board, mean.flops, mean.bytes, is_multi)


def replica_power(
    board: BoardPower, deployment: Deployment, load: Load, point: ServingPoint
) -> tuple[Phases, Scalar]:
    """Board power (W per accelerator) by phase and on average of a replica at its operating point."""
    work = serving_work(deployment, load, point.batch, load.context, board.padding_rows)
    is_multi = jnp.where(deployment.layout.n_accelerators > 1, 1.0, 0.0)
    none = jnp.zeros_like(point.tpot)
    time = Phases(point.time.prefill + point.time.reload, point.time.decode, none, none)
    mean = serving_power(board, work.total, point.time.total, is_multi)
    return power_by_phase(board, work, time, is_multi), mean


def tier_reads(deployment: Deployment, load: Load, point: ServingPoint) -> Tiers:
    """B/s that decoding reads from each tier of memory, per accelerator; none where nothing is placed."""
    if deployment.placement is None:
        return jnp.zeros_like(deployment.accelerator.memory.capacity)
    return deployment.placement.read / (point.time.total * (1 + load.accepted_tokens))


def power_by_phase(board: BoardPower, work: ServingWork, time: Phases, is_multi: Scalar) -> Phases:
    """Board power (W) of each phase on its own, as pools draw it; no phase exceeds the peak rates."""
    prefill, decode = utilisation(work.prefill, time.prefill), utilisation(work.decode, time.decode)
    return phase_power(board, _feasible(prefill), _feasible(decode), is_multi)


def _feasible(u: Utilisation) -> Utilisation:
    return Utilisation(jnp.minimum(u.flops, 1.0), jnp.minimum(u.bytes, 1.0))
