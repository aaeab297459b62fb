"""How many systems a request rate takes, and what their idle time does to the price."""

import dataclasses
import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from clustermodel.chain.choose import Choice
from clustermodel.chain.search import sweep
from clustermodel.chain.setup import Setup


def size(setup: Setup, choice: Choice) -> tuple[Choice, int | None]:
    """The systems that carry the question's mean request rate; their idle time enters the price.

    replicas = ceil(rate x peak-to-mean / (availability x requests/s of a replica at its operating point));
    systems are whole, and busy seconds pay for idle ones: utilisation becomes rate / what they could serve.
    Without a rate the choice is returned as it is.
    """
    rate = setup.question.rate
    if rate is None:
        return choice, None
    replica_rate = float(choice.evaluation.point.request_rate)
    peak = float(setup.workload.spec.peak_to_mean)
    working = float(setup.terms.spec.availability)
    replicas = math.ceil(rate * peak / (working * replica_rate) - 1e-9)
    systems = systems_for(setup, choice, replicas)
    installed = replicas_in(setup, choice, systems) * replica_rate
    used = min(rate / installed, 1.0) * float(setup.terms.spec.utilisation)
    terms = eqx.tree_at(lambda t: t.utilisation, setup.terms.spec, jnp.asarray(used))
    money = eqx.tree_at(lambda m: m.terms, setup.money, terms)
    again = sweep(dataclasses.replace(setup, money=money), [choice.shape], np.asarray([choice.concurrency]))
    return dataclasses.replace(choice, evaluation=again.row(0)), systems


def systems_for(setup: Setup, choice: Choice, replicas: int) -> int:
    """Whole systems that hold a number of replicas."""
    count, n = int(setup.system.spec.count), int(np.prod(choice.shape[:3]))
    return math.ceil(replicas / (count // n)) if n <= count else replicas * math.ceil(n / count)


def replicas_in(setup: Setup, choice: Choice, systems: int) -> int:
    """Replicas that a number of systems holds."""
    count, n = int(setup.system.spec.count), int(np.prod(choice.shape[:3]))
    return systems * (count // n) if n <= count else systems // math.ceil(n / count)
