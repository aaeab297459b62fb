"""Colours of charts and pages, once for light paper and once for dark screens.

Series colours are told apart by people with any common colour blindness (hues of Okabe and Ito, darkened for
paper) and stand out from the ground at 3:1 at least; text does at 7:1 (WCAG 2.2, 1.4.6 and 1.4.11).
"""

from collections.abc import Mapping
from typing import Any

LIGHT: Mapping[str, str] = {
    "ground": "#ffffff", "ink": "#1b1f24", "soft": "#4b535d", "line": "#d5dae0", "fill": "#f2f4f7", "link": "#0a58a5",
    "series1": "#0072b2", "series2": "#c04e00", "series3": "#00795a", "series4": "#a8478a",
    "series5": "#8a6500", "series6": "#5b6770",
}  # fmt: skip
DARK: Mapping[str, str] = {
    "ground": "#14171b", "ink": "#f0f3f6", "soft": "#b9c2cc", "line": "#3a424b", "fill": "#1f242a", "link": "#7cc0ff",
    "series1": "#56b4e9", "series2": "#ff8a4c", "series3": "#2fc79b", "series4": "#e59cc9",
    "series5": "#e8bd1a", "series6": "#a3b0bc",
}  # fmt: skip

SERIES = tuple(LIGHT[name] for name in LIGHT if name.startswith("series"))
"""Colours in the order in which series take them."""
DASHES = ("-", "--", "-.", ":")
"""Strokes that tell curves apart once every colour is used, and in print without colour."""
MARKERS = "osD^vPX*"

STYLE: Mapping[Any, Any] = {
    "text.parse_math": False,  # a $ in a name is a dollar
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and scaled
    "svg.hashsalt": "clustermodel",  # the same picture is the same file
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LIGHT["soft"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LIGHT["line"],
    "grid.linewidth": 0.6,
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["soft"],
    "ytick.color": LIGHT["soft"],
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
"""matplotlib's settings for every chart."""


def series_color(index: int) -> str:
    """The colour of the series with this number."""
    return SERIES[index % len(SERIES)]


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, from 1 to 21: (L1 + 0.05) / (L2 + 0.05) [WCAG 2.2, relative luminance]."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
