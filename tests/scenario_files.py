"""Scenario files of a stranger, written for one test: contracts and sections as plain numbers and texts."""

from clustermodel.catalog import load_catalog
from clustermodel.risk import run_scenario

SLUG = "mine"


def number(value):
    """A number as configs write it: a plain one, a text with its unit, or (value, low, high)."""
    value, *ends = value if isinstance(value, tuple) else (value,)
    ranged = f", low = {_text(ends[0])}, high = {_text(ends[1])}" if ends else ""
    confidence = "assumption" if ends else "published"
    return f'{{ value = {_text(value)}, source = "clustermodel", confidence = "{confidence}"{ranged} }}'


def _text(value):
    return f'"{value}"' if isinstance(value, str) else repr(float(value))


def written(folder, contracts=(), sections=(), *, metrics=None, supply=None):
    """A catalogue with these contracts by name, and the scenario `mine` of them."""
    for kind in ("contracts", "scenarios"):
        (folder / kind).mkdir(exist_ok=True)
    for name, fields in dict(contracts).items():
        numbers = {field: value for field, value in fields.items() if field != "obligor"}
        words = f'name = "{name}"\n' + (f'obligor = "{fields["obligor"]}"\n' if "obligor" in fields else "")
        lines = [f"{field} = {number(value)}" for field, value in numbers.items()]
        (folder / "contracts" / f"{name}.toml").write_text(words + "\n".join(lines))
    signed = ", ".join(f'"{name}"' for name in dict(contracts) if name != supply)
    lines = ['name = "Mine"', 'question = "?"', f"contracts = [{signed}]"]
    lines += [f"metrics = {list(metrics)}".replace("'", '"')] if metrics else []
    lines += [f'supply = "{supply}"'] if supply else []
    for section, fields in dict(sections).items():
        lines += [f"[{section}]", *(f"{field} = {number(value)}" for field, value in fields.items())]
    (folder / "scenarios" / f"{SLUG}.toml").write_text("\n".join(lines))
    return load_catalog([folder])


def answered(folder, contracts=(), sections=(), paths=32, **more):
    """The answer to the scenario of these contracts and sections."""
    return run_scenario(written(folder, contracts, sections, **more), SLUG, paths)


def means(folder, *asked, **more):
    """The mean of every figure that can be measured."""
    return {name: figure["mean"] for name, figure in answered(folder, *asked, **more)["metrics"].items()}
