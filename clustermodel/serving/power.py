"""What the boards of a replica draw while it serves: the power of each phase, weighted by its time."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.power import BoardPower, Phases, Utilisation, executed_work, phase_power
from clustermodel.physics.step import iteration
from clustermodel.physics.work import Demand, Tokens
from clustermodel.serving.load import Load

_SHORTEST = 1e-12  # s; a phase that takes no time has no work either


class PhaseWork(eqx.Module):
    """One mean iteration by phase: executed work at peak rates, and the time the model predicts for it (s)."""

    prefill: Demand
    decode: Demand
    prefill_time: Scalar
    decode_time: Scalar


def phase_work(
    deployment: Deployment, load: Load, batch: Scalar, context: Scalar, padding_rows: Scalar
) -> PhaseWork:
    """Work of the mean iteration of `batch` running sequences of mean `context` tokens.

    As in `steady.closed_loop` an iteration carries a prefill chunk with the probability that balances input
    and output tokens; prefill is what that chunk adds.
    """
    balance = batch / deployment.layout.pp * load.uncached / load.osl
    chunk = jnp.maximum(balance, load.chunk(deployment.engine.chunk))
    share = balance / jnp.maximum(chunk, _SHORTEST)

    def executed(prefill: Scalar) -> tuple[Demand, Scalar]:
        tokens = Tokens(batch, prefill, context, load.prefill_context)
        return executed_work(deployment, tokens, padding_rows), iteration(deployment, tokens)[0].total

    plain, plain_time = executed(jnp.zeros_like(batch))
    mixed, mixed_time = executed(chunk)
    alone = decode_work(deployment, load, batch, context, padding_rows)
    return PhaseWork(
        prefill=(mixed + plain.scaled(-jnp.ones_like(batch))).scaled(share),
        decode=alone.decode,
        prefill_time=share * (mixed_time - plain_time),
        decode_time=alone.decode_time,
    )


def decode_work(
    deployment: Deployment, load: Load, batch: Scalar, context: Scalar, padding_rows: Scalar
) -> PhaseWork:
    """Work of one output token of every sequence on a worker that only decodes, verified drafts included."""
    none, accepted = jnp.zeros_like(batch), 1 + load.accepted_tokens
    tokens = Tokens(batch * (1 + load.draft_tokens), none, context, load.prefill_context)
    need, time = executed_work(deployment, tokens, padding_rows), iteration(deployment, tokens)[0].total
    return PhaseWork(Demand(none, none), need.scaled(1 / accepted), none, time / accepted)


def prefill_work(deployment: Deployment, load: Load, padding_rows: Scalar) -> PhaseWork:
    """Work of one request on a worker that only prefills, chunk by chunk."""
    none = jnp.zeros_like(load.isl)
    chunk = jnp.maximum(load.chunk(deployment.engine.chunk), 1.0)
    tokens = Tokens(none, chunk, load.context, load.prefill_context)
    need, time = executed_work(deployment, tokens, padding_rows), iteration(deployment, tokens)[0].total
    chunks = load.uncached / chunk
    return PhaseWork(need.scaled(chunks), Demand(none, none), chunks * time, none)


def always_busy(work: PhaseWork, period: Scalar) -> Phases:
    """Time in each phase (s) of an engine that fills `period`: both phases stretch alike."""
    stretch = period / (work.prefill_time + work.decode_time)
    none = jnp.zeros_like(period)
    return Phases(work.prefill_time * stretch, work.decode_time * stretch, none, none)


def waiting(work: PhaseWork, period: Scalar) -> Phases:
    """Time in each phase (s) of a pool that does its work and then waits for more until `period` is over."""
    busy = jnp.minimum(work.prefill_time + work.decode_time, period)
    filled = always_busy(work, busy)
    return Phases(filled.prefill, filled.decode, period - busy, jnp.zeros_like(period))


def serving_power(board: BoardPower, work: PhaseWork, time: Phases, is_multi: Scalar) -> Phases:
    """Board power (W) in each phase when `work` takes `time`; average it with `physics.power.mean_power`."""
    return phase_power(
        board, _utilisation(work.prefill, time.prefill), _utilisation(work.decode, time.decode), is_multi
    )


def _utilisation(need: Demand, time: Scalar) -> Utilisation:
    spent = jnp.maximum(time, _SHORTEST)
    return Utilisation(need.arithmetic / spent, need.traffic / spent)
