"""A report as one HTML file that needs nothing else, or as Markdown."""

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from clustermodel.report.charts import theme
from clustermodel.report.charts.data import Chart
from clustermodel.report.charts.draw import save, svg
from clustermodel.report.document import Section, table

TEMPLATES = Path(__file__).parent / "templates"


@functools.cache
def environment(folder: Path = TEMPLATES) -> Environment:
    """Templates of a folder, and ours: they escape whatever they are given, and fail on what they are not."""
    made = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        picture=lambda chart, number: Markup(svg(chart, f"{number}-{chart.key}-")),
        chart_table=lambda chart: table(chart.title, chart.rows()),
        colors=colors,
        style=_text("style.css"),
        light=theme.LIGHT,
        dark=theme.DARK,
    )
    return made


def html(sections: Sequence[Section]) -> str:
    """One page on all answers: it loads nothing, runs one script of its own and prints well."""
    script = _text("sort.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment().get_template("report.html")
    return page.render(sections=sections, script=script, digest=digest)


def markdown(sections: Sequence[Section]) -> str:
    """The same as Markdown, the charts as tables of their values."""
    page = environment().get_template("report.md")
    return page.render(sections=sections, cell=_markdown_cell)


def figures(sections: Sequence[Section], folder: Path) -> list[Path]:
    """Every chart as PNG and SVG in a folder; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, each in enumerate(sections, start=1):
        for chart in each.charts:
            written += _saved(chart, folder / f"{number}-{chart.key}")
    return written


def _saved(chart: Chart, stem: Path) -> list[Path]:
    paths = [stem.with_name(f"{stem.name}.{suffix}") for suffix in ("svg", "png")]
    for path in paths:
        save(chart, path)
    return paths


@functools.cache
def _text(name: str) -> Markup:
    """A file of our own, which needs no escaping."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def colors(palette: Mapping[str, str]) -> Markup:
    """A palette as CSS variables."""
    return Markup(" ".join(f"--{name}: {color};" for name, color in palette.items()))


def _markdown_cell(text: Any) -> Markup:
    """Text that stays text in a Markdown table."""
    plain = str(text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
    return Markup(plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
