"""The lines of the two tables: what holds on many nodes, and what a fault did."""

from collections.abc import Callable
from dataclasses import dataclass

NODES = "| what | on | found | verdict |\n| --- | --- | --- | --- |"
FAULTS = (
    "| fault | on | requests meanwhile | well again after | revoked accepted | acknowledged lost | verdict |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True)
class Row:
    """A line; `cells` are those between what it is about and the verdict."""

    what: str
    on: str
    cells: tuple[str, ...]
    held: bool

    def line(self) -> str:
        """As a row of a Markdown table."""
        return "| " + " | ".join([self.what, self.on, *self.cells, "held" if self.held else "**BROKEN**"]) + " |"


@dataclass(frozen=True)
class Trial:
    """One thing to try; `run` returns the cells, or raises AssertionError with what broke."""

    what: str
    on: str
    run: Callable[[], tuple[str, ...]]

    def try_it(self) -> Row:
        try:
            return Row(self.what, self.on, self.run(), held=True)
        except AssertionError as error:
            said = (str(error).splitlines() or ["an assertion"])[0].replace("|", "/")[:300]
            return Row(self.what, self.on, (said,), held=False)
