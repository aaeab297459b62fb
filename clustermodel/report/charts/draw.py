"""From the data of a chart to a matplotlib figure, and from there to SVG for both themes or to a file."""

import contextlib
import functools
import io
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from clustermodel.report.charts import theme
from clustermodel.report.charts.data import Axis, Bars, Chart, Curve, Curves, Field, Spans, Waterfall
from clustermodel.report.figures import figure

_WIDTH, _HEIGHT, _BAR = 6.4, 3.6, 0.36  # inches; a bar is as high as two lines of text
_LABELLED = 0.08  # of the longest bar: a part that is wider carries its number
_DIRECT = 4  # curves that carry their names themselves; more have a legend
_DEPTH = 3  # decimal digits within which a log axis names every tick
_ID = re.compile(r'(\bid="|xlink:href="#|url\(#)')
_COLORS = {
    color: f"var(--{name})" for name, color in theme.LIGHT.items() if name not in ("ground", "fill", "link")
}
FORMATS = ("svg", "png", "pdf")
_ONE_AT_A_TIME = threading.RLock()


def draw(chart: Chart) -> Figure:
    """The chart as a figure of its own; nothing global is touched."""
    with _styled():
        size = _height(chart)
        made = Figure(figsize=(_WIDTH, size), layout="constrained")
        _fill(chart, made.subplots())
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
        draw(chart).savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)


@contextlib.contextmanager
def _styled() -> Iterator[None]:
    """Our settings of matplotlib; all threads share them, so one draws at a time."""
    with _ONE_AT_A_TIME, mpl.rc_context(dict(theme.STYLE)):
        yield


@functools.singledispatch
def _fill(chart: Chart, axes: Axes) -> None:
    raise TypeError(f"no drawing for {type(chart).__name__}")


@_fill.register
def _curves(chart: Curves, axes: Axes) -> None:
    colors = iter(range(len(chart.curves)))
    for curve in chart.curves:
        _curve(axes, curve, 0 if curve.form == "reference" else next(colors))
    _scale(axes, chart.x, chart.y)
    if all(float(x).is_integer() for curve in chart.curves for x in curve.x):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    names = [curve.name for curve in chart.curves if curve.name]
    if names:
        axes.legend(loc="best", ncols=1 if len(names) <= _DIRECT else 2, fontsize=8)


def _curve(axes: Axes, curve: Curve, index: int) -> None:
    color = theme.LIGHT["soft"] if curve.form == "reference" else theme.series_color(index)
    dash = "--" if curve.form == "reference" else theme.DASHES[index // len(theme.SERIES) % len(theme.DASHES)]
    if curve.form == "points":
        axes.plot(curve.x, curve.y, theme.MARKERS[index % len(theme.MARKERS)], color=color, label=curve.name,
                  markersize=5, alpha=0.8 if len(curve.x) > 50 else 1.0)  # fmt: skip
    else:
        marker = "o" if 1 < len(curve.x) <= 40 and curve.form == "line" else ""
        axes.plot(curve.x, curve.y, dash, color=color, label=curve.name, marker=marker, markersize=3)
    if curve.low and curve.form == "line":
        axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.2, linewidth=0)
    elif curve.low:
        axes.vlines(curve.x, curve.low, curve.high, color=color, linewidth=1)
    for x, y, mark in zip(curve.x, curve.y, curve.marks, strict=False):
        axes.annotate(mark, (x, y), (4, 4), textcoords="offset points", fontsize=7, color=theme.LIGHT["ink"])


@_fill.register
def _bars(chart: Bars, axes: Axes) -> None:
    places = np.arange(len(chart.names))[::-1]
    above, below = np.zeros(len(places)), np.zeros(len(places))
    longest = max((abs(total) for total in chart.totals), default=0.0) or 1.0
    for index, part in enumerate(chart.parts):
        sizes = np.asarray(part.values)
        start = np.where(sizes >= 0, above, below)
        again = index >= len(theme.SERIES)  # colours start over: hatched
        color = theme.LIGHT["line"] if part.quiet else theme.series_color(index)
        axes.barh(places, sizes, left=start, color=color, label=part.name, height=0.62,
                  hatch="////" if again else None, edgecolor=theme.LIGHT["line"], linewidth=0.5)  # fmt: skip
        above, below = above + np.maximum(sizes, 0), below + np.minimum(sizes, 0)
    for place, total, end in zip(places, chart.totals, above, strict=True):
        axes.text(end + 0.01 * longest, place, figure(total), va="center", fontsize=8)
    axes.set_yticks(places, chart.names)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    axes.set_xlabel(chart.value.title)
    if len(chart.parts) > 1:
        axes.figure.legend(loc="outside lower center", ncols=min(4, len(chart.parts)), fontsize=8)


@_fill.register
def _waterfall(chart: Waterfall, axes: Axes) -> None:
    names = [*(name for name, _ in chart.steps), "total"]
    sizes = np.array([*(size for _, size in chart.steps), chart.total])
    starts = np.concatenate([[0.0], np.cumsum(sizes[:-1])[:-1], [0.0]])
    places = np.arange(len(names))[::-1]
    colors = [theme.series_color(0 if size >= 0 else 2) for size in sizes[:-1]] + [theme.LIGHT["soft"]]
    axes.barh(places, sizes, left=starts, color=colors, height=0.62)
    for place, start, size in zip(places, starts, sizes, strict=True):
        axes.text(max(start, start + size) + 0.01 * chart.total, place, figure(size), va="center", fontsize=8)
    axes.set_yticks(places, names)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    axes.set_xlabel(chart.value.title)


@_fill.register
def _spans(chart: Spans, axes: Axes) -> None:
    places = np.arange(len(chart.spans))[::-1]
    for place, span in zip(places, chart.spans, strict=True):
        ends = ((span.low, chart.middle), (chart.middle, span.high))
        for (start, end), index in zip(ends, (0, 1), strict=True):
            axes.barh(place, end - start, left=start, color=theme.series_color(index), height=0.62)
        if span.high > chart.middle:
            axes.text(span.high, place, f" {figure(span.high)}", va="center", fontsize=7)
        if span.low < chart.middle:
            axes.text(span.low, place, f"{figure(span.low)} ", va="center", ha="right", fontsize=7)
    axes.axvline(chart.middle, color=theme.LIGHT["soft"], linewidth=1)
    axes.set_yticks(places, [f"~ {span.name}" if span.guessed else span.name for span in chart.spans])
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.2)
    axes.set_xlabel(chart.value.title)


@_fill.register
def _field(chart: Field, axes: Axes) -> None:
    _scale(axes, chart.x, chart.y)
    values = np.array([[np.nan if z is None else z for z in line] for line in chart.values], dtype=float)
    axes.grid(visible=False)
    columns, lines = np.arange(len(chart.xs)), np.arange(len(chart.ys))
    axes.set_xscale("linear")
    axes.set_yscale("linear")
    shown = np.log10(np.where(values > 0, values, np.nan)) if chart.z.log else values
    axes.pcolormesh(columns, lines, shown, cmap="cividis", shading="nearest", rasterized=False)
    low, high = np.nanmin(shown), np.nanmax(shown)
    for j, i in np.argwhere(np.isfinite(values)):
        light = shown[j, i] > (low + high) / 2
        axes.text(
            i,
            j,
            figure(values[j, i]),
            ha="center",
            va="center",
            fontsize=7,
            color="#000000" if light else "#fffffe",
        )
    axes.set_xticks(columns, [figure(x) for x in chart.xs])
    axes.set_yticks(lines, [figure(y) for y in chart.ys])
    axes.set_title(f"colour and figures: {chart.z.title}", fontsize=8, loc="left")


def _scale(axes: Axes, x: Axis, y: Axis) -> None:
    axes.set_xlabel(x.title)
    axes.set_ylabel(y.title)
    for axis, side in ((x, axes.xaxis), (y, axes.yaxis)):
        if axis.log:
            (axes.set_xscale if side is axes.xaxis else axes.set_yscale)("log")
        side.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
        if axis.log:
            side.set_minor_locator(NullLocator())
            low, high = side.get_view_interval()
            if high < low * 10**_DEPTH:
                side.set_major_locator(LogLocator(subs=(1, 2, 5)))


def _tick(value: float) -> str:
    return f"{value:,.10g}" if 1e-4 <= abs(value) < 1e7 or value == 0 else f"{value:.3g}"


def _height(chart: Chart) -> float:
    names: Sequence[object] = ()
    if isinstance(chart, Bars):
        return 1.2 + _BAR * len(chart.names) + 0.2 * (len(chart.parts) // 4 + 1)
    if isinstance(chart, Waterfall):
        names = chart.steps
    elif isinstance(chart, Spans):
        names = chart.spans
    return 1.0 + _BAR * 0.8 * (len(names) + 1) if names else _HEIGHT
