"""One process of a sweep: `python sweep_worker.py HOST HOSTS PORT FILE DEVICES`, on forced accelerators."""

import os
import sys

if __name__ == "__main__":
    os.environ["JAX_NUM_CPU_DEVICES"] = sys.argv[5]
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
    host, hosts, port, file, devices = sys.argv[1:]
    if int(hosts) > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", int(hosts), int(host))
    from clustermodel.sweep import sweep

    assert jax.local_device_count() == int(devices)
    assert jax.device_count() == int(devices) * int(hosts)
    best = sweep(small_space(), max_tpot=0.05, chunk=8)
    np.savez(file, price=np.asarray(best.price), index=np.asarray(best.index))
