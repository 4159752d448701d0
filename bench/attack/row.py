"""A line of the table: what was tried, against what, what was found."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """The result of one attack. `found` is a short sentence with the numbers in it."""

    threat: str
    what: str
    against: str
    found: str
    held: bool
    seconds: float

    def line(self) -> str:
        """As a row of a Markdown table."""
        verdict = "held" if self.held else "**BROKEN**"
        return f"| {self.threat} | {self.what} | {self.against} | {self.found} | {verdict} | {self.seconds:.0f} s |"


HEAD = "| threat | attack | against | found | verdict | took |\n| --- | --- | --- | --- | --- | --- |"


@dataclass(frozen=True)
class Attack:
    """One attack; `run` returns what it found, or raises AssertionError with what broke."""

    threat: str
    what: str
    against: str
    run: Callable[[], str]

    def try_it(self) -> Row:
        begun = time.monotonic()
        try:
            found, held = self.run(), True
        except AssertionError as error:
            found, held = (str(error).splitlines() or ["an assertion"])[0].replace("|", "/")[:200], False
        return Row(self.threat, self.what, self.against, found, held, time.monotonic() - begun)
