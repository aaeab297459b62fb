"""What a chart shows, before anything is drawn: axes with units, named values, and the same as a table."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from clustermodel.report.figures import figure

Values = tuple[float, ...]
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Axis:
    """What is measured along one side of a chart, and its unit at the edge."""

    label: str
    unit: str = ""
    log: bool = False
    names: tuple[str, ...] = ()  # of the places 1, 2, 3 ...

    @property
    def title(self) -> str:
        """`price [USD per million tokens]`."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label


@dataclasses.dataclass(frozen=True)
class Curve:
    """Points of one name, with the range of each where it is known and words beside those that need some.

    What belongs to a thing that another curve shows too is drawn as `of` that thing, in its colour.
    """

    name: str
    x: Values
    y: Values
    low: Values = ()
    high: Values = ()
    marks: tuple[str, ...] = ()
    form: Literal["line", "points", "reference"] = "line"
    of: str = ""


@dataclasses.dataclass(frozen=True)
class Part:
    """One layer of stacked bars: a value for every bar; a quiet one is many small ones, a spare one is left free."""

    name: str
    values: Values
    quiet: bool = False
    spare: bool = False


@dataclasses.dataclass(frozen=True)
class Span:
    """A range with the words that belong to it."""

    name: str
    low: float
    high: float
    guessed: bool = False


@dataclasses.dataclass(frozen=True)
class Chart:
    """One picture: its key (a file name), its title and the sentence that says what to see."""

    key: str
    title: str
    says: str

    def rows(self) -> list[Row]:
        """The values behind the picture, one record a line."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Curves(Chart):
    """Curves or points over a common pair of axes."""

    x: Axis
    y: Axis
    curves: tuple[Curve, ...]

    def rows(self) -> list[Row]:
        """One row a point; a range where the curve has one."""
        return [row for curve in self.curves for row in self._points(curve)]

    def _points(self, curve: Curve) -> Iterator[Row]:
        for i, (x, y) in enumerate(zip(curve.x, curve.y, strict=True)):
            place = self.x.names[round(x) - 1] if self.x.names else x
            row: Row = {"series": curve.name, self.x.title: place, self.y.title: y}
            if curve.low:
                row |= {"low": curve.low[i], "high": curve.high[i]}
            yield row


@dataclasses.dataclass(frozen=True)
class Bars(Chart):
    """Stacked bars: one for each name, the parts in order; parts may be negative."""

    names: tuple[str, ...]
    value: Axis
    parts: tuple[Part, ...]

    @property
    def totals(self) -> Values:
        """The sum of every bar."""
        return tuple(sum(part.values[i] for part in self.parts) for i in range(len(self.names)))

    @property
    def shown(self) -> Values:
        """What stands at the end of every bar: its total, without what is left free."""
        used = [part for part in self.parts if not part.spare]
        return tuple(sum(part.values[i] for part in used) for i in range(len(self.names)))

    def rows(self) -> list[Row]:
        """One row a bar, one column a part, then the total."""
        return [
            {
                "": name,
                **{part.name: part.values[i] for part in self.parts},
                f"total [{self.value.unit}]": total,
            }
            for i, (name, total) in enumerate(zip(self.names, self.totals, strict=True))
        ]


@dataclasses.dataclass(frozen=True)
class Waterfall(Chart):
    """Steps from nothing to a total."""

    value: Axis
    steps: tuple[tuple[str, float], ...]

    @property
    def total(self) -> float:
        """Where the last step ends."""
        return sum(size for _, size in self.steps)

    def rows(self) -> list[Row]:
        """One row a step, then the total."""
        return [{"": name, self.value.title: size} for name, size in (*self.steps, ("total", self.total))]


@dataclasses.dataclass(frozen=True)
class Spans(Chart):
    """Ranges around a middle (a tornado), the widest first; a `~` marks those that rest on a guess."""

    value: Axis
    middle: float
    spans: tuple[Span, ...]

    def rows(self) -> list[Row]:
        """One row a range."""
        return [
            {"": f"~ {span.name}" if span.guessed else span.name, f"low [{self.value.unit}]": span.low,
             f"high [{self.value.unit}]": span.high}
            for span in self.spans
        ]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Field(Chart):
    """A value over two axes: a map; `values[j][i]` belongs to `xs[i]` and `ys[j]`, None where undefined."""

    x: Axis
    y: Axis
    z: Axis
    xs: Values
    ys: Values
    values: tuple[tuple[float | None, ...], ...]

    def rows(self) -> list[Row]:
        """One row a value of y, one column a value of x."""
        xs = self.x.names or [f"{figure(x)} {self.x.unit}".rstrip() for x in self.xs]
        ys = self.y.names or self.ys
        return [
            {self.y.title: y, **dict(zip(xs, line, strict=True))}
            for y, line in zip(ys, self.values, strict=True)
        ]


def numbers(values: Sequence[Any]) -> Values:
    """Plain floats."""
    return tuple(float(value) for value in values)
