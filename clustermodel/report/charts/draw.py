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
from clustermodel.report.charts.data import Bars, Chart, Curves, Spans, Waterfall
from clustermodel.report.charts.paint import DIRECT, lines, paint

_WIDTH, _HEIGHT = 5.4, 3.3  # inches
_BAR, _AXIS, _LEGEND, _TITLE = 0.34, 0.72, 0.2, 0.28  # heights of a bar, of the axis below, of lines of text
_ID = re.compile(r'(\bid="|xlink:href="#|url\(#)')
_COLORS = {color: f"var(--{name})" for name, color in theme.LIGHT.items() if name not in ("fill", "link")}
FORMATS = ("svg", "png", "pdf")
_LETTERS = 52  # of a title, on one line
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
        made, title = draw(chart), textwrap.wrap(chart.title, _LETTERS)
        made.set_figheight(made.get_figheight() + _TITLE * len(title))
        made.suptitle("\n".join(title), x=0.01, ha="left", fontsize=11, fontweight="bold")
        made.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)


@contextlib.contextmanager
def _styled() -> Iterator[None]:
    """Our settings of matplotlib; all threads share them, so one draws at a time."""
    with _ONE_AT_A_TIME, mpl.rc_context(dict(theme.STYLE)):
        yield


def _height(chart: Chart) -> float:
    if isinstance(chart, Curves):
        names = list(dict.fromkeys(curve.of or curve.name for curve in chart.curves))
        return _HEIGHT + (_LEGEND * lines(names) if len(names) > DIRECT else 0.0)
    if isinstance(chart, Bars):
        names = [part.name for part in chart.parts]
        return _AXIS + _BAR * len(chart.names) + (_LEGEND * lines(names) if len(names) > 1 else 0.0)
    if isinstance(chart, Waterfall):
        return _AXIS + _BAR * (len(chart.steps) + 1)
    return _AXIS + _BAR * len(chart.spans if isinstance(chart, Spans) else getattr(chart, "ys", ()))
