"""Write configs/fleets/synthetic-large from the seeded generator of the tests: 40 systems, 50 workloads, 40 periods.

`python benchmarks/synthetic_fleet.py` (a period stands for a year; units are abstract, W and USD by name only).
"""

import pathlib
import sys

import numpy as np
import pandas as pd

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from fleet_instances import instance  # noqa: E402

SIZE = (40, 50, 40, 1)
RATE = 0.025  # discount rate of the generator, per period
NOTE = "drawn from a seed"


def written(value: float, unit: str = "") -> str:
    text = f'"{value!r} {unit}"' if unit else repr(float(value))
    return f'{{ value = {text}, source = "clustermodel", confidence = "derived", note = "{NOTE}" }}'


def write(folder: pathlib.Path) -> None:
    problem = instance(*SIZE)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fleet.toml").write_text(_settings(problem))
    (folder / "systems.toml").write_text("\n".join(_systems(problem)))
    lines = [f"[{name}]\npenalty = {written(cost, 'USD/token')}\n" for name, cost in _penalties(problem)]
    (folder / "workloads.toml").write_text("\n".join(lines))
    for name, frame in _tables(problem).items():
        frame.assign(source="clustermodel", confidence="derived").to_csv(folder / f"{name}.csv", index=False)


def _settings(problem) -> str:
    periods = ", ".join(f'"{name}"' for name in problem.horizon.periods)
    return f"""name = "Synthetic: 40 systems, 50 workloads, 40 periods"
question = "How fast is a problem with 69,000 decisions solved, and how well?"
note = "drawn by benchmarks/synthetic_fleet.py; abstract units; its continuous optimum is 8632.7483836"
periods = [{periods}]
period_length = {written(1, "year")}
discount_rate = {written(RATE, "1/year")}
power_basis = "p90"
"""


def _systems(problem):
    assets = problem.assets
    for a, name in enumerate(assets.systems):
        yield f"[{name}]"
        yield f'vendor = "{assets.vendors[a]}"\nsite = "here"'
        yield f"price = {written(float(assets.price[0, a]), 'USD')}"
        yield f"lead_time = {written(int(assets.lead[a]), 'year')}"
        yield f"life = {written(int(assets.life[a]), 'year')}"
        yield f"resale = {written(float(assets.resale[a]) * (1 + RATE))}"  # drawn for the last period's start
        yield f"usable = {written(float(assets.usable[a]))}"
        yield f"idle_power = {written(float(assets.standing_power[a]), 'W')}\n"


def _penalties(problem):
    return zip(problem.service.workloads, map(float, problem.service.penalty[0]), strict=True)


def _tables(problem) -> dict[str, pd.DataFrame]:
    assets, service, rental = problem.assets, problem.service, problem.rental
    names, periods = np.array(assets.systems), problem.horizon.periods
    a, w = np.nonzero(service.rate[0])
    rate = service.rate[0, a, w]
    full = assets.standing_power[a] + service.busy_power[0, a, w]
    works = np.array(service.workloads)
    pairs = {"system": names[a], "workload": works[w], "throughput [token/year]": rate, "power [W]": full}
    pairs["cost [USD/token]"] = service.busy_cost[0, a, w] / rate
    each = lambda values: np.asarray(values).ravel()
    orders = {"system": np.tile(names, len(periods)), "period": np.repeat(periods, len(names))}
    asked = {"workload": np.tile(works, len(periods)), "period": np.repeat(periods, len(works))}
    offers = {"reserved": (rental.price, rental.take_or_pay[0], rental.most)}
    offers["on_demand"] = (rental.on_demand_price, np.zeros(len(names)), rental.on_demand_most)
    rent = [
        pd.DataFrame({"system": names, "site": "here", "kind": kind, "price [USD/year]": price[0],
                      "take_or_pay": due, "most": most[0], "hosted": 0})
        for kind, (price, due, most) in offers.items()
    ]  # fmt: skip
    return {
        "throughput": pd.DataFrame(pairs),
        "demand": pd.DataFrame({**asked, "demand [token/year]": each(problem.demand.work[0, :, 0])}),
        "prices": pd.DataFrame({**orders, "price [USD]": each(assets.price)}),
        "contracts": pd.concat(rent),
        "constraints": _constraints(problem, orders),
        "legacy": _legacy(problem),
        "sites": pd.DataFrame({"site": ["here"]}),
    }


def _constraints(problem, orders) -> pd.DataFrame:
    supply = pd.DataFrame({"kind": "supply", **orders, "value": problem.assets.supply.ravel().astype(str)})
    units = {"budget": " USD", "power": " W", "vendor_share": ""}
    rows = [
        {
            "kind": limit.kind,
            "value": f"{limit.value!r}{units[limit.kind]}",
            "period": "total" if limit.period is None else problem.horizon.periods[limit.period],
            "site": limit.site,
            "vendor": limit.vendor,
        }
        for limit in problem.limits
    ]
    return pd.concat([pd.DataFrame(rows), supply])


def _legacy(problem) -> pd.DataFrame:
    held, periods = problem.assets.legacy, problem.horizon.periods
    after = np.vstack([held[1:], np.zeros(held.shape[1])])
    t, a = np.nonzero(held - after)
    names = np.array(problem.assets.systems)
    until = np.array(periods)[t]
    return pd.DataFrame({"system": names[a], "site": "here", "systems": (held - after)[t, a], "until": until})


if __name__ == "__main__":
    write(ROOT / "configs" / "fleets" / "synthetic-large")
