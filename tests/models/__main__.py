"""`python -m tests.models`: explore every model and print what was found.

`--traces` adds the ways to it, `--write` puts the tables into docs/models.md.
"""

import argparse
import sys
from pathlib import Path

from tests.models.table import lines, traces

DOCUMENT = Path("docs/models.md")
BEGIN, END = "<!-- models: begin -->", "<!-- models: end -->"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.models")
    parser.add_argument("--traces", action="store_true", help="the shortest way to each thing that is wrong")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT}")
    options = parser.parse_args()
    text = "\n".join(lines())
    print(text)
    if options.traces:
        print("\n".join(["", *traces()]))
    if options.write:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
