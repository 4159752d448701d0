"""`make bench`: every figure of docs/performance.md, as ratios of runs interleaved on one machine.

One worker on one core, the load on the other. Quieter machines give other absolute figures and the same ratios.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import load, report
from bench.products import OURS
from bench.row import Table
from bench.servers import LOAD_CORE, databases_on, redis_on
from bench.stable import Stable
from bench.tables import footprint, host, login, me, million, overload, refresh, sessions, storm, workers

# Those that write much come last: their databases are not what the first ones should be measured on.
TABLES: dict[str, Callable[[Stable], list[Table]]] = {
    "me": me.run,
    "host": host.run,
    "sessions": sessions.run,
    "refresh": refresh.run,
    "login": login.run,
    "storm": storm.run,
    "overload": overload.run,
    "footprint": footprint.run,
    "workers": workers.run,
    "million": million.run,
}
# As they stand in the document.
ORDER = (
    "me",
    "host",
    "login",
    "parts",
    "register",
    "refresh",
    "sessions",
    "storm",
    "overload",
    "million",
    "footprint",
    "imports",
    "workers",
)


def main() -> None:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(TABLES), help=f"tables, by commas: {', '.join(TABLES)}")
    parser.add_argument("--seconds", type=int, default=2, help="length of one run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each subject")
    parser.add_argument("--write", action="store_true", help=f"put the figures into {report.DOCUMENT}, with plots")
    parser.add_argument("--plot", action="store_true", help="measure nothing: draw and write what was kept")
    options = parser.parse_args()
    if not options.plot:
        tables = _measure(options.only.split(","), options.rounds, options.seconds)
        if options.write:
            report.keep(tables, ORDER)
    if options.plot or options.write:
        report.write()


def _measure(names: list[str], rounds: int, seconds: int) -> list[Table]:
    load.require_wrk()
    conditions = f"{_machine()} {rounds} rounds of {seconds} s."
    print(conditions)
    tables = []
    os.sched_setaffinity(0, {LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="propusk-bench-") as folder, ExitStack() as stack:
        stack.enter_context(databases_on(LOAD_CORE))
        redis_url = stack.enter_context(redis_on(LOAD_CORE))
        stable = Stable(Path(folder), stack, redis_url, rounds=rounds, seconds=seconds)
        for name in names:
            begun = time.monotonic()
            for table in TABLES[name](stable):
                table.conditions = conditions
                tables.append(table)
                print(f"\n{table.markdown()}", flush=True)
            print(f"{name} took {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return tables


def _machine() -> str:
    version = next((OURS.parent / "lib").glob("python*")).name.removeprefix("python")
    return f"Python {version}, {platform.system()} {platform.release()}, {os.cpu_count()} cores."


if __name__ == "__main__":
    main()
