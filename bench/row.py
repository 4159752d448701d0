"""Tables of figures: what was found, how far the rounds were apart, and what was wanted."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """The median over the rounds, the least, the most, and the bar: `≥ 1.1`, `≤ 2`; empty where none is set."""

    value: float
    low: float
    high: float
    wanted: str = ""

    @property
    def missed(self) -> bool:
        """Whether there is a bar that the median does not reach."""
        if not self.wanted:
            return False
        sign, bar = self.wanted.split()
        return self.value < float(bar) if sign == "≥" else self.value > float(bar)

    def text(self) -> str:
        """As it stands in a table."""
        spread = "" if self.low == self.high else f" ({number(self.low)} to {number(self.high)})"
        return f"{number(self.value)}{spread}"


def median(values: Sequence[float], wanted: str = "") -> Figure:
    """The figure that these rounds give."""
    return Figure(statistics.median(values), min(values), max(values), wanted)


def exactly(value: float, wanted: str = "") -> Figure:
    """A figure that was taken once, or a median whose spread does not matter."""
    return Figure(value, value, value, wanted)


def middle(values: Sequence[float], wanted: str = "") -> Figure:
    """The median, without how far the rounds were apart."""
    return exactly(statistics.median(values), wanted)


def number(value: float) -> str:
    """With as many places as are worth reading."""
    if value >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


@dataclass
class Row:
    """What was found for one subject: by heading; None where it cannot do that."""

    name: str
    figures: dict[str, Figure | None] = field(default_factory=dict)


@dataclass
class Table:
    """One table. The first heading is what its plot shows."""

    name: str
    title: str
    headings: list[str]
    rows: list[Row]
    note: str = ""
    conditions: str = ""

    def markdown(self) -> str:
        """As it stands in the document."""
        columns = [column for heading in self.headings for column in self._columns(heading)]
        lines = [
            f"| {self.title} | " + " | ".join(columns) + " |",
            "| --- | " + " | ".join("---:" for _ in columns) + " |",
            *(f"| {row.name} | " + " | ".join(self._cells(row)) + " |" for row in self.rows),
        ]
        return "\n".join(lines) + (f"\n\n{self.note}" if self.note else "")

    def _columns(self, heading: str) -> list[str]:
        return [heading, "wanted"] if self._has_bar(heading) else [heading]

    def _has_bar(self, heading: str) -> bool:
        return any((figure := row.figures.get(heading)) is not None and figure.wanted for row in self.rows)

    def _cells(self, row: Row) -> list[str]:
        cells = []
        for heading in self.headings:
            figure = row.figures.get(heading)
            cells.append("-" if figure is None else figure.text())
            if self._has_bar(heading):
                missed = figure is not None and figure.missed
                cells.append("" if figure is None else f"{figure.wanted}{', missed' if missed else ''}")
        return cells

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Table":
        """What `as_json` wrote."""
        rows = [
            Row(row["name"], {heading: Figure(**f) if f else None for heading, f in row["figures"].items()})
            for row in found["rows"]
        ]
        return cls(**{**found, "rows": rows})
