"""From the data of a chart to a matplotlib figure, and from there to SVG for both themes or to a file."""

import contextlib
import io
import re
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from clustermodel.report.charts import theme
from clustermodel.report.charts.data import Bars, Chart, Curves, Field, Spans, Waterfall
from clustermodel.report.charts.paint import paint

_WIDTH, _HEIGHT, _BAR, _AXIS = 5.4, 3.3, 0.32, 0.6  # inches; a bar is as high as two lines of text
_FEW = 4  # names of curves that need no room of their own
_ID = re.compile(r'(\bid="|xlink:href="#|url\(#)')
_COLORS = {color: f"var(--{name})" for name, color in theme.LIGHT.items() if name not in ("fill", "link")}
FORMATS = ("svg", "png", "pdf")
_LETTERS = 70  # of a title, on one line
_ONE_AT_A_TIME = threading.RLock()


def draw(chart: Chart) -> Figure:
    """The chart as a figure of its own; nothing global is touched."""
    with _styled():
        size = _height(chart)
        made = Figure(figsize=(_WIDTH, size), layout="constrained")
        paint(chart, made.subplots())
        return made


def svg(chart: Chart, prefix: str = "") -> str:
    """An `<svg>` element to stand in a page: its colours follow the page's theme, its texts are texts.

    `prefix` goes before every id, so that several pictures can stand in one page.
    """
    text = io.StringIO()
    with _styled():
        draw(chart).savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    element = text.getvalue()
    element = element[element.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = _ID.sub(rf"\g<1>{prefix}", element)
    for color, variable in _COLORS.items():
        element = element.replace(color, variable)
    return re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 xmlns:xlink="http://www.w3.org/1999/xlink">',
                  element, count=1)  # fmt: skip


def save(chart: Chart, path: Path) -> None:
    """Write the picture as SVG, PNG or PDF, by the suffix of the path."""
    with _styled():
        made = draw(chart)
        made.suptitle(textwrap.fill(chart.title, _LETTERS), x=0.01, ha="left", fontsize=11, fontweight="bold")
        made.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)


@contextlib.contextmanager
def _styled() -> Iterator[None]:
    """Our settings of matplotlib; all threads share them, so one draws at a time."""
    with _ONE_AT_A_TIME, mpl.rc_context(dict(theme.STYLE)):
        yield


def _height(chart: Chart) -> float:
    if isinstance(chart, Bars):
        legend = 0.19 * -(-len(chart.parts) // 3) if len(chart.parts) > 1 else 0.0
        return _AXIS + _BAR * len(chart.names) + legend
    if isinstance(chart, Waterfall):
        return _AXIS + _BAR * (len(chart.steps) + 1)
    if isinstance(chart, Spans):
        return _AXIS + _BAR * len(chart.spans)
    if isinstance(chart, Field):
        return _AXIS + _BAR * len(chart.ys)
    names = {curve.of or curve.name for curve in chart.curves} if isinstance(chart, Curves) else ()
    return _HEIGHT + (0.19 * -(-len(names) // 3) if len(names) > _FEW else 0.0)
