"""How fast the program is: one line a case, and the machine."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clustermodel.report.figures import count, figure, percent


def cases(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Configurations per second against the limit that this machine's own rates set."""
    machine = (answer["device"], f"{answer['cores']} cores", f"jax {answer['jax']}", answer["dtype"])
    yield Text(", ".join(map(str, machine)), style="bold")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="cyan")
    for title in ("case", "model"):
        table.add_column(title, no_wrap=True)
    for title in ("configurations\na second", "compile\ns", "of the\nlimit"):
        table.add_column(title, justify="right")
    for case in answer["cases"]:
        speed, compiled = count(round(case["configurations_per_s"])), figure(case["compile_s"])
        table.add_row(case["name"], case["model"], speed, compiled, percent(case["fraction_of_limit"]))
    yield table
