"""From silicon to money: what a million tokens cost, and why."""

__version__ = "0.1.0"
