"""What the model predicts for the benchmark's own decoder here: one iteration, before and after calibration."""

import dataclasses

import jax.numpy as jnp

from clustermodel.bench.decoder import Shape, spec_of
from clustermodel.bench.device import Bench
from clustermodel.bench.self_calibration import formats, this_machine
from clustermodel.calibration.effects import CoefficientTable, Level, natural
from clustermodel.physics.deployment import Deployment, Layout
from clustermodel.physics.step import iteration
from clustermodel.physics.work import Tokens
from clustermodel.specs import Engine


@dataclasses.dataclass(frozen=True)
class Point:
    """One measured program: a prefill of whole prompts, or one decode step of a batch."""

    phase: str
    batch: int
    context: int  # tokens of a prompt, or held by each sequence

    @property
    def tokens(self) -> Tokens:
        """The same as the kernels see an iteration."""
        zero = jnp.zeros(())
        if self.phase == "prefill":
            prompt = jnp.asarray(float(self.context))
            return Tokens(zero, self.batch * prompt, zero, prompt / 2)
        return Tokens(jnp.asarray(float(self.batch)), zero, jnp.asarray(float(self.context)), zero)


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Seconds of one iteration: as predicted, and the least that the machine's peaks allow."""

    seconds: float
    bound: float


def forecast(bench: Bench, shape: Shape, table: CoefficientTable, point: Point) -> Forecast:
    """One iteration of `shape` on the benched machine, with the coefficients of a table."""
    bytes_each = 2 if bench.kind in ("bf16", "fp16") else 4
    one, none = jnp.ones(()), jnp.zeros(())
    deployment = Deployment(
        system=this_machine(bench.peaks, bench.accelerator, capacity=1.0),
        model=spec_of(shape, point.context),
        formats=formats(bench.peaks, bench.kind, bytes_each),
        layout=Layout(one, one, one, one),
        engine=Engine(chunk=one, memory_fraction=one, usable_fraction=one, workspace=none),
        coefficients=natural(table.links(Level("", ""))),
    )
    step, need = iteration(deployment, point.tokens)
    return Forecast(float(step.total), float(need.total.bound))
