"""`make attack`: timing and brute force against real processes. Prints one table, and ends with 1 if anything broke.

Everything takes some twenty minutes; `--only T20,T25` and `--db sqlite` choose, `--scale 0.1` shortens.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.attack.bombs import bombs
from bench.attack.crashes import crashes
from bench.attack.floods import bursts, bursts_on_nodes, flooded
from bench.attack.races import races, races_of_nodes
from bench.attack.row import HEAD, Attack, Row
from bench.attack.strangers import strangers
from bench.attack.timing import timings
from tests.backends import NAMES, is_reachable
from tests.process.service import NO_LIMITS, Service
from tests.process.test_durability import PATIENT
from tests.process.test_limits_shared import PAIR
from tests.process.test_overload import COSTLY
from tests.process.town import nodes_on, town_on

DOCUMENT = Path("docs/security-tests.md")
BEGIN, END = "<!-- attack: begin -->", "<!-- attack: end -->"
LIMITED = {"PROPUSK_LIMITS__LOGIN_PAIR": f"{PAIR}/15m"}


@contextmanager
def folder(label: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"propusk-attack-{label}-") as path:
        yield Path(path)


def attacks_on(name: str, scale: float, seconds: float) -> Iterator[Attack]:
    """Everything that is tried against one database."""
    with folder(name) as path, town_on(name, path) as town:
        yield from races(town, scale)
    with folder(name) as path, town_on(name, path, settings=LIMITED) as town:
        yield from bursts(town, scale)
    with folder(name) as path, town_on(name, path, workers=2, settings=PATIENT) as town:
        yield from crashes(town, scale)
    if name != "sqlite":
        with folder(name) as path, nodes_on(name, path, settings=LIMITED) as nodes:
            yield from races_of_nodes(nodes, scale)
            yield from bursts_on_nodes(nodes, scale)
        return
    with folder(name) as path, Service(path, env=NO_LIMITS) as service:
        yield from bombs(service)
    with folder(name) as path, Service(path, env={**NO_LIMITS, **COSTLY}) as service:
        yield from flooded(service, seconds)
    with folder(name) as path, town_on(name, path, workers=1, settings=COSTLY) as town:
        yield from timings(town)
        yield from strangers(town, scale)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.attack", description=__doc__.partition("\n")[0])
    parser.add_argument("--db", default=",".join(name for name in NAMES if is_reachable(name)), help="by commas")
    parser.add_argument("--only", default="", help="threats, by commas; all by default")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of rounds")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT}")
    options = parser.parse_args()
    wanted = set(options.only.split(",")) if options.only else None
    rows: list[Row] = []
    print(HEAD)
    for name in options.db.split(","):
        for attack in attacks_on(name, options.scale, seconds=max(5.0, 20 * options.scale)):
            if wanted is None or attack.threat in wanted:
                rows.append(attack.try_it())
                print(rows[-1].line(), flush=True)
    if options.write:
        write(rows)
    broken = sum(not row.held for row in rows)
    print(f"\n{len(rows)} attacks, {broken} broken through", file=sys.stderr)
    return 1 if broken else 0


def write(rows: list[Row]) -> None:
    """Replace the table in the document."""
    table = "\n".join([HEAD, *(row.line() for row in rows)])
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{machine}.\n\n{table}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
