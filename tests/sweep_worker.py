"""One process of a sweep: `python sweep_worker.py HOST HOSTS PORT FILE`, on two forced accelerators."""

import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)


def small_space():
    from clustermodel.catalog import load_catalog
    from clustermodel.chain import Question
    from clustermodel.sweep import Axes, space

    axes = Axes(concurrency=(1, 8, 64), isl=(256, 2048), price_factor=(1.0, 1.5))
    return space(load_catalog(), Question("hgx-h200", "llama-3.1-8b", tp=1), ["hgx-h200", "hgx-b200"], axes)


if __name__ == "__main__":
    host, hosts, port, file = sys.argv[1:]
    jax.distributed.initialize(f"127.0.0.1:{port}", int(hosts), int(host))
    from clustermodel.sweep import sweep

    assert jax.local_device_count() == 2
    assert jax.device_count() == 2 * int(hosts)
    best = sweep(small_space(), max_tpot=0.05, chunk=8)
    np.savez(file, price=np.asarray(best.price), index=np.asarray(best.index))
