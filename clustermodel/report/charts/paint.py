"""How each kind of chart is drawn on axes."""

import functools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from clustermodel.report.charts import theme
from clustermodel.report.charts.data import Axis, Bars, Chart, Curve, Curves, Field, Spans, Waterfall
from clustermodel.report.figures import UNKNOWN, figure, tick

DIRECT = 4  # names that find room in the picture; more stand below it
_LINE = 66  # letters of a line of a legend below, signs included
_SIGN = 8  # letters that a sign of a legend takes
_DEPTH = 3  # decimal digits within which a log axis names every tick
_EQUAL = 1e-6  # share of a value within which two are one colour
_HEIGHT = 0.62  # of a bar, as a share of its row
_LABELLED = 0.09  # of the longest bar: a part that is wider carries its number
_MANY = 50  # points that are drawn small and let others through
_SIDE = 44  # letters of a line up the side
_WORDS = 26  # letters of a name beside a bar before it goes on below


@functools.singledispatch
def paint(chart: Chart, axes: Axes) -> None:
    """Draw a chart."""
    raise TypeError(f"no drawing for {type(chart).__name__}")


@paint.register
def _curves(chart: Curves, axes: Axes) -> None:
    names = list(dict.fromkeys(c.of or c.name for c in chart.curves if c.form != "reference"))
    for curve in chart.curves:
        _curve(axes, curve, names.index(curve.of or curve.name) if curve.form != "reference" else 0)
    _scale(axes, chart.x, chart.y)
    if chart.x.names:
        axes.set_xticks(range(1, len(chart.x.names) + 1), chart.x.names)
    elif all(float(x).is_integer() for curve in chart.curves for x in curve.x):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len({curve.name for curve in chart.curves}) > 1 or any(curve.low for curve in chart.curves):
        _legend(axes)


def _legend(axes: Axes) -> None:
    """Every name once: in the picture where they are few, below it where they are many."""
    labels: dict[str, Any] = {}
    for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
        labels.setdefault(name, handle)
    if len(labels) <= DIRECT:
        axes.legend(labels.values(), labels.keys(), loc="best", fontsize=8)
    else:
        _below(axes, labels)


def _below(axes: Axes, labels: Mapping[str, Any]) -> None:
    figure = axes.get_figure(root=True)
    assert figure is not None
    names = list(labels)
    figure.legend(
        labels.values(), names, loc="outside lower center", ncols=-(-len(names) // lines(names)), fontsize=8
    )


def lines(names: Sequence[str]) -> int:
    """Lines of a legend below a picture."""
    columns = max(_LINE // (max(map(len, names)) + _SIGN), 1)
    return -(-len(names) // columns)


def _curve(axes: Axes, curve: Curve, index: int) -> None:
    quiet = curve.form == "reference"
    color = theme.LIGHT["soft"] if quiet else theme.series_color(index)
    dash = "--" if quiet else theme.DASHES[index // len(theme.SERIES) % len(theme.DASHES)]
    if curve.form == "points":
        many, sign = len(curve.x) > _MANY, theme.MARKERS[index % len(theme.MARKERS)]
        axes.plot(curve.x, curve.y, sign, color=color, label=curve.of or curve.name,
                  markersize=3 if many else 5, alpha=0.6 if many else 1.0, markeredgewidth=0)  # fmt: skip
    else:
        marker = "o" if 1 <= len(curve.x) <= 40 and not quiet and not curve.of else ""
        axes.plot(
            curve.x, curve.y, dash, color=color, label=curve.of or curve.name, marker=marker, markersize=3
        )
    if curve.low and curve.form != "points":
        axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.2, linewidth=0)
    elif curve.low:
        axes.vlines(curve.x, curve.low, curve.high, color=color, linewidth=1)
    for i, (x, y, mark) in enumerate(zip(curve.x, curve.y, curve.marks, strict=False)):
        place = (5, 4) if i % 2 else (5, -9)  # neighbours on either side of their points
        axes.annotate(mark, (x, y), place, textcoords="offset points", fontsize=8, color=theme.LIGHT["ink"])


@paint.register
def _bars(chart: Bars, axes: Axes) -> None:
    places = np.arange(len(chart.names))[::-1]
    above, below = np.zeros(len(places)), np.zeros(len(places))
    longest = max((abs(total) for total in chart.totals), default=0.0) or 1.0
    for index, part in enumerate(chart.parts):
        sizes = np.asarray(part.values)
        start = np.where(sizes >= 0, above, below)
        soft = part.quiet or part.spare
        again = index >= len(theme.SERIES) and not soft  # colours start over: hatched
        color = theme.LIGHT["line"] if soft else theme.series_color(index)
        axes.barh(places, sizes, left=start, color=color, label=part.name, height=_HEIGHT,
                  hatch="////" if again else None, edgecolor=theme.LIGHT["line"], linewidth=0.5)  # fmt: skip
        if len(chart.parts) > 1 and not soft and not again:
            some = np.where(
                sizes < np.asarray(chart.totals), sizes, 0
            )  # what is all of a bar stands at its end
            _numbers(axes, places, start, some, _LABELLED * longest)
        above, below = above + np.maximum(sizes, 0), below + np.minimum(sizes, 0)
    for place, shown, end in zip(places, chart.shown, above, strict=True):
        axes.text(end + 0.01 * longest, place, figure(shown), va="center", fontsize=8)
    _named(axes, chart.names, chart.value)
    axes.margins(x=0.12)
    if len(chart.parts) > 1:
        handles, names = axes.get_legend_handles_labels()
        _below(axes, dict(zip(names, handles, strict=True)))


def _numbers(axes: Axes, places: np.ndarray, starts: np.ndarray, sizes: np.ndarray, least: float) -> None:
    """The number of every part that is wide enough, in it."""
    for place, start, size in zip(places, starts, sizes, strict=True):
        if size > least:
            axes.text(start + size / 2, place, figure(float(size)), va="center", ha="center", fontsize=8,
                      color=theme.LIGHT["ground"])  # fmt: skip


@paint.register
def _waterfall(chart: Waterfall, axes: Axes) -> None:
    names = [*(name for name, _ in chart.steps), "total"]
    sizes = np.array([*(size for _, size in chart.steps), chart.total])
    starts = np.concatenate([[0.0], np.cumsum(sizes[:-1])[:-1], [0.0]])
    places = np.arange(len(names))[::-1]
    colors = [theme.series_color(0 if size >= 0 else 2) for size in sizes[:-1]] + [theme.LIGHT["soft"]]
    axes.barh(places, sizes, left=starts, color=colors, height=_HEIGHT)
    for place, start, size in zip(places, starts, sizes, strict=True):
        axes.text(max(start, start + size) + 0.01 * chart.total, place, figure(size), va="center", fontsize=8)
    _named(axes, names, chart.value)
    axes.margins(x=0.12)


@paint.register
def _spans(chart: Spans, axes: Axes) -> None:
    places = np.arange(len(chart.spans))[::-1]
    for place, span in zip(places, chart.spans, strict=True):
        ends = ((span.low, chart.middle), (chart.middle, span.high))
        for (start, end), index in zip(ends, (0, 1), strict=True):
            axes.barh(place, end - start, left=start, color=theme.series_color(index), height=_HEIGHT)
        if span.high > chart.middle:
            axes.text(span.high, place, f" {figure(span.high)}", va="center", fontsize=8)
        if span.low < chart.middle:
            axes.text(span.low, place, f"{figure(span.low)} ", va="center", ha="right", fontsize=8)
    axes.axvline(chart.middle, color=theme.LIGHT["soft"], linewidth=1)
    _named(axes, [f"~ {span.name}" if span.guessed else span.name for span in chart.spans], chart.value)
    low, high = min(s.low for s in chart.spans), max(s.high for s in chart.spans)
    room = 0.16 * (high - low or 1.0)  # for the numbers at both ends
    axes.set_xlim(low - room, high + room)


def _named(axes: Axes, names: Sequence[str], value: Axis) -> None:
    """Names beside horizontal bars, the first on top, and what the bars measure."""
    places = np.arange(len(names))[::-1]
    axes.set_yticks(places, [textwrap.fill(name, _WORDS) for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: tick(size)))
    axes.set_xlabel(value.title)


@paint.register
def _field(chart: Field, axes: Axes) -> None:
    values = np.array([[np.nan if z is None else z for z in line] for line in chart.values], dtype=float)
    axes.grid(visible=False)
    columns, places = np.arange(len(chart.xs)), np.arange(len(chart.ys))
    shown = np.log10(np.where(values > 0, values, np.nan)) if chart.z.log else values
    low, high = np.nanmin(shown), np.nanmax(shown)
    low = low if high - low > _EQUAL * abs(high) else high - 1
    edges = [np.arange(size + 1) - 0.5 for size in (len(columns), len(places))]
    axes.pcolormesh(*edges, shown, cmap="cividis", shading="flat", vmin=low, vmax=high)
    for j, i in np.ndindex(*values.shape):
        known = np.isfinite(values[j, i])
        color = (
            theme.LIGHT["soft"] if not known else "#000000" if shown[j, i] > (low + high) / 2 else "#fffffe"
        )
        text = figure(float(values[j, i])) if known else UNKNOWN
        axes.text(i, j, text, ha="center", va="center", fontsize=8, color=color)
    axes.set_xticks(columns, chart.x.names or [tick(x) for x in chart.xs])
    axes.set_yticks(places, chart.y.names or [tick(y) for y in chart.ys])
    axes.tick_params(length=0)
    axes.set_xlabel(chart.x.title)
    axes.set_ylabel(textwrap.fill(chart.y.title, _SIDE))


def _scale(axes: Axes, x: Axis, y: Axis) -> None:
    axes.set_xlabel(x.title)
    axes.set_ylabel(textwrap.fill(y.title, _SIDE))
    for axis, side in ((x, axes.xaxis), (y, axes.yaxis)):
        if axis.log:
            (axes.set_xscale if side is axes.xaxis else axes.set_yscale)("log")
        side.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
        if axis.log:
            side.set_minor_locator(NullLocator())
            low, high = side.get_view_interval()
            if high < low * 10**_DEPTH:
                side.set_major_locator(LogLocator(subs=(1, 2, 5)))
