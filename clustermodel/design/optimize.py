"""Which server to build: memory, bandwidth, arithmetic and load that make a token cheapest, by gradients."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from clustermodel import __version__
from clustermodel._types import Scalar
from clustermodel.catalog import Catalog, ConfigError, InfeasibleError, did_you_mean
from clustermodel.chain.choose import Choice, choose, requests_in_flight
from clustermodel.chain.cost import SCHEMA
from clustermodel.chain.evaluate import Evaluation, carried_accelerators
from clustermodel.chain.question import Question, option
from clustermodel.chain.setup import MILLISECONDS, Setup, set_up
from clustermodel.design.asked import mistakes
from clustermodel.design.descent import KEPT, Optimum, Vector, minimise
from clustermodel.design.sensitivity import Knobs, chain_of, inputs_of, knobs
from clustermodel.design.tiers import main_tier
from clustermodel.physics.deployment import Layout
from clustermodel.serving.placement import full_batch
from clustermodel.serving.prefix import token_cache_bytes
from clustermodel.serving.working_set import Reuse, prefix_hit_rate
from clustermodel.specs import System
from clustermodel.units import MILLION

VARIABLES = {"memory": "B", "bandwidth": "B/s", "compute": "FLOP/s", "concurrency": "request"}
"""What may vary, per system (concurrency: per replica), in SI."""

_REACH = 16.0  # variables may grow or shrink by this factor unless told otherwise
_FIXED_POINT = 6  # substitutions between the hit rate and the request rate that it makes possible


class PriceModel(eqx.Module):
    """Price of a system: what it is without memory, and what a byte, a byte a second and a FLOP/s add."""

    fixed: Scalar
    per_byte: Scalar
    per_bandwidth: Scalar
    per_flops: Scalar


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is varied and how it is judged."""

    vary: tuple[str, ...]
    usd_per_gb: float | None = None
    usd_per_tb_s: float = 0.0
    usd_per_pflop_s: float = 0.0
    max_kw: float | None = None
    most_hits: float | None = None


def optimize(catalog: Catalog, question: Question, plan: Plan) -> dict[str, Any]:
    """The values of `plan.vary` that minimise USD per million tokens, around the catalogue's system.

    The layout is that of the cheapest point of the system as it is. Objectives of the question and `max_kw`
    are limits; no more requests are in flight than memory and engine let run. With `most_hits` the prefix
    cache is what running data leave free, and its hit rate follows the working-set curve of the workload;
    otherwise the hit rate is the question's.
    """
    if not plan.vary:
        raise ConfigError(f"--vary is empty: write some of {', '.join(VARIABLES)}")
    if unknown := [name for name in plan.vary if name not in VARIABLES]:
        raise ConfigError(
            f"--vary {unknown[0]!r}: write some of {', '.join(VARIABLES)}{did_you_mean(unknown[0], VARIABLES)}"
        )
    _check(question, plan)
    setup = set_up(catalog, question)
    choice = choose(setup)
    problem = Problem(setup, choice, plan)
    found = minimise(problem.outcome, *problem.box)
    if not found.kept:
        raise InfeasibleError(_out_of_reach(problem, found))
    return _report(problem, found)


def _out_of_reach(problem: "Problem", found: Optimum) -> str:
    """Which limits no design keeps, and the values that the nearest design reaches."""
    where = f"no {', '.join(problem.plan.vary)} within a factor {_REACH:g} of {problem.setup.system.name}"
    if not np.all(np.isfinite([found.value, *found.excess])):
        return f"{where} has a finite price; check the numbers given with --set"
    missed = [
        f"{option(name)} {asked:g}: the nearest feasible value is {up(asked * (1 + excess)):g}"
        for (name, asked), excess in zip(problem.asked.items(), found.excess, strict=True)
        if excess > KEPT
    ]
    return f"{where} keeps {', and '.join(missed)}; let more quantities vary with --vary"


def up(value: float) -> float:
    """The next number of four significant digits, so that what is said can be asked for."""
    digit = 10.0 ** (math.floor(math.log10(value)) - 3)
    return math.ceil(value / digit * (1 - 1e-9)) * digit


def _check(question: Question, plan: Plan) -> None:
    """Refuse what an optimum cannot be of."""
    problems = mistakes(
        question,
        dated="a dated price does not move with memory, bandwidth or arithmetic",
        shared="an optimum is the least price of all tokens together",
        busy="an optimum is of one replica that always has its requests in flight, --concurrency says how many",
    )
    for name in ("usd_per_gb", "usd_per_tb_s", "usd_per_pflop_s"):
        value = getattr(plan, name)
        if value is not None and not 0 <= value < math.inf:
            problems.append(f"{option(name)} {value:g}: write a price of at least 0 USD")
    if plan.max_kw is not None and not 0 < plan.max_kw < math.inf:
        problems.append(f"--max-kw {plan.max_kw:g}: write a positive number of kilowatts")
    if plan.most_hits is not None and not 0 <= plan.most_hits < 1:
        problems.append(f"--most-hits {plan.most_hits:g}: write a share in [0, 1)")
    if problems:
        raise ConfigError("\n".join(problems))


class Problem:
    """A design question as functions of a vector; everything per system and SI."""

    def __init__(self, setup: Setup, choice: Choice, plan: Plan):
        self.setup, self.choice, self.plan = setup, choice, plan
        self.at = knobs(setup)
        self.system = setup.system.spec
        self.count = float(self.system.count)
        self.tier = main_tier(self.system)
        self.prices = price_model(self.system, self.tier, plan)
        self.not_varied = requests_in_flight(setup, choice)

    @property
    def start(self) -> Vector:
        """The catalogue's system; requests in flight as a share of those that run at the most."""
        memory = self.system.accelerator.memory
        values = {
            "memory": memory.capacity[self.tier] * self.count,
            "bandwidth": memory.bandwidth[self.tier] * self.count,
            "compute": self.setup.formats.ffn_rate * self.count,
            "concurrency": jnp.minimum(self.choice.concurrency / self.runs(self.at), 1.0),
        }
        return jnp.stack([jnp.asarray(values[name], dtype=float) for name in self.plan.vary])

    @property
    def box(self) -> tuple[Vector, Vector]:
        """Ends of every variable; memory no smaller than what holds the weights and one sequence."""
        lower, upper = self.start / _REACH, self.start * _REACH
        use = self.choice.evaluation.point.memory
        least = float(use.weights + use.workspace + 2 * use.per_sequence) * self.count
        for i, name in enumerate(self.plan.vary):
            if name == "memory":
                lower = lower.at[i].set(jnp.maximum(lower[i], least * 1.1))
                upper = upper.at[i].set(jnp.maximum(upper[i], least * 2))
            if name == "concurrency":
                lower, upper = lower.at[i].set(lower[i] / _REACH), upper.at[i].set(1.0)
        return lower, upper

    def knobs_at(self, x: Vector) -> Knobs:
        """The catalogue's specs with the design's values and the price that they make."""
        chosen = dict(zip(self.plan.vary, x, strict=True))
        k, t, part = self.at, self.tier, 1 / self.count
        memory, accelerator = k.system.accelerator.memory, k.system.accelerator
        capacity = chosen.get("memory", memory.capacity[t] * self.count)
        bandwidth = chosen.get("bandwidth", memory.bandwidth[t] * self.count)
        compute = chosen.get("compute", self.setup.formats.ffn_rate * self.count)
        factor = compute / (self.setup.formats.ffn_rate * self.count)
        names = [name for name in vars(accelerator) if name.startswith("flops_")]
        faster = dataclasses.replace(accelerator, **{n: getattr(accelerator, n) * factor for n in names})
        tiers = dataclasses.replace(
            memory,
            capacity=memory.capacity.at[t].set(capacity * part),
            bandwidth=memory.bandwidth.at[t].set(bandwidth * part),
            price=memory.price.at[t].set(self.prices.per_byte / k.system.memory_markup),
        )
        p = self.prices
        price = p.fixed + p.per_byte * capacity + p.per_bandwidth * bandwidth + p.per_flops * compute
        system = dataclasses.replace(
            k.system, accelerator=dataclasses.replace(faster, memory=tiers), price=price
        )
        return dataclasses.replace(k, system=system)

    def runs(self, k: Knobs) -> Scalar:
        """Requests that run at once: as many as memory holds and the engine allows."""
        replica, load, _ = inputs_of(self.setup, self.choice, jnp.ones(()))(k)
        return full_batch(replica, load)

    def in_flight(self, x: Vector) -> Scalar:
        """Requests in flight: no more than run, for those that queue only wait."""
        runs, chosen = self.runs(self.knobs_at(x)), dict(zip(self.plan.vary, x, strict=True))
        if "concurrency" in chosen:
            return jnp.maximum(chosen["concurrency"] * runs, 1.0)
        return jnp.minimum(self.not_varied(runs), runs)

    def values(self, x: Vector) -> list[float]:
        """The design in the units of `VARIABLES`."""
        return [
            float(self.in_flight(x) if name == "concurrency" else value)
            for name, value in zip(self.plan.vary, x, strict=True)
        ]

    def evaluation(self, x: Vector) -> tuple[Evaluation, Scalar]:
        """The point and its prefix hit rate."""
        k = self.knobs_at(x)
        run = chain_of(self.setup, self.choice, self.in_flight(x))
        hit = k.workload.prefix_hit_rate
        if self.plan.most_hits is None:
            return run(k), hit

        def substituted(hit: Scalar, _: None) -> tuple[Scalar, tuple[Evaluation, Scalar]]:
            found = run(eqx.tree_at(lambda q: q.workload.prefix_hit_rate, k, hit))
            return self._hits(k, found.point, hit), (found, hit)

        _, every = jax.lax.scan(substituted, hit, length=_FIXED_POINT + 1)
        return jax.tree.map(lambda leaf: leaf[-1], every)

    def _hits(self, k: Knobs, point: Any, before: Scalar) -> Scalar:
        """Hit rate of what weights and running sequences leave free on the replica's accelerators."""
        use, n = point.memory, float(np.prod(self.choice.shape[:3]))
        taken = use.weights + use.workspace + point.batch * use.per_sequence / self.choice.shape[2]
        room = jnp.sum(k.system.accelerator.memory.capacity) * k.engine.usable_fraction - taken
        replica = self.setup.deployment(_layout(self.choice))
        inflow = point.request_rate * k.workload.isl * token_cache_bytes(replica)
        reuse = Reuse(jnp.asarray(self.plan.most_hits), k.workload.reuse_interval)
        return (before + prefix_hit_rate(reuse, jnp.maximum(room, 1.0) * n, inflow)) / 2

    @property
    def asked(self) -> dict[str, float]:
        """The limits that were asked for, by option, in its unit."""
        q = self.setup.question
        asked = {"max_tpot_ms": q.max_tpot_ms, "max_ttft_ms": q.max_ttft_ms, "max_kw": self.plan.max_kw}
        return {name: most for name, most in asked.items() if most is not None}

    def outcome(self, x: Vector) -> tuple[Scalar, Float[Array, " limit"]]:
        """USD per token of any class, and the relative excess over each limit."""
        evaluation, _ = self.evaluation(x)
        point = evaluation.point
        reached = {
            "max_tpot_ms": point.tpot * MILLISECONDS,
            "max_ttft_ms": point.ttft * MILLISECONDS,
            "max_kw": evaluation.inlet.total * self.count / 1e3,
        }
        excess = [reached[name] / most - 1 for name, most in self.asked.items()]
        return evaluation.unit.blended, jnp.stack(excess) if excess else jnp.zeros(0)


def _layout(choice: Choice) -> Layout:
    return Layout(*map(jnp.asarray, map(float, choice.shape)))


def price_model(system: System, tier: int, plan: Plan) -> PriceModel:
    """Price = a + b x memory + ...: the catalogue's price taken apart, with the rest as it is.

    The price of a byte is the tier's purchase price times the system's markup on memory, unless it is given.
    """
    memory, count = system.accelerator.memory, system.count
    listed = memory.price[tier] * system.memory_markup
    per_byte = listed if plan.usd_per_gb is None else jnp.asarray(plan.usd_per_gb / 1e9)
    rest = system.price - listed * memory.capacity[tier] * count
    per_bandwidth, per_flops = jnp.asarray(plan.usd_per_tb_s / 1e12), jnp.asarray(plan.usd_per_pflop_s / 1e15)
    return PriceModel(rest, per_byte, per_bandwidth, per_flops)


def _report(problem: Problem, found: Optimum) -> dict[str, Any]:
    evaluate = jax.jit(problem.evaluation)
    (evaluation, hit), (start, _) = evaluate(found.x), evaluate(problem.start)
    names: Sequence[str] = problem.plan.vary
    values, before = problem.values(found.x), problem.values(problem.start)
    return {
        "kind": "design_optimize",
        "schema": SCHEMA,
        "version": __version__,
        "inputs": {
            "system": problem.setup.system.slug,
            "model": problem.setup.model.slug,
            "workload": problem.setup.workload.slug,
            **dataclasses.asdict(problem.plan),
        },
        "usd_per_mtok_total": found.value * MILLION,
        "usd_per_mtok_start": float(start.unit.blended) * MILLION,
        "price_usd": float(problem.knobs_at(found.x).system.price),
        "layout": dict(zip(("tp", "pp", "dp", "ep"), problem.choice.shape, strict=True)),
        "tpot_ms": float(evaluation.point.tpot) * MILLISECONDS,
        "ttft_ms": float(evaluation.point.ttft) * MILLISECONDS,
        "concurrency": float(problem.in_flight(found.x)),
        "prefix_hit_rate": float(hit),
        "accelerators_paid_for": float(
            carried_accelerators(problem.setup.deployment(_layout(problem.choice)))
        ),
        "optimum": [
            {"variable": name, "value": x, "unit": VARIABLES[name], "start": s, "at_bound": end}
            for name, x, s, end in zip(names, values, before, found.at_bound, strict=True)
        ],
        "active": [
            {"limit": name, "elasticity_of_price": -float(m)}
            for name, m in zip(problem.asked, found.multipliers, strict=True)
            if float(m) > 1e-4
        ],
    }
