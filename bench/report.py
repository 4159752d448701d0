"""Results as JSON beside their plots, and docs/performance.md made from them."""

import json
from collections.abc import Sequence
from pathlib import Path

from bench import plots
from bench.row import Table

DOCUMENT = Path("docs/performance.md")
FOLDER = Path("docs/performance")
RESULTS = FOLDER / "results.json"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def read() -> list[Table]:
    """What was measured last."""
    if not RESULTS.exists():
        return []
    return [Table.from_json(found) for found in json.loads(RESULTS.read_text())["tables"]]


def keep(tables: list[Table], order: Sequence[str]) -> None:
    """Put these in the place of earlier ones of the same name."""
    by_name = {table.name: table for table in (*read(), *tables)}
    kept = sorted(by_name.values(), key=lambda table: order.index(table.name))
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps({"tables": [table.as_json() for table in kept]}, indent=1, ensure_ascii=False)
    RESULTS.write_text(text + "\n")


def write() -> None:
    """Plots and document, from the file of results."""
    tables = read()
    text = f"{_parts(tables)}\n"
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}{END}{after}")


def _parts(tables: list[Table]) -> str:
    conditions = {table.conditions for table in tables}
    parts = [table.conditions for table in tables[:1] if len(conditions) == 1]
    for table in tables:
        parts += _part(table) + ([table.conditions] if len(conditions) > 1 else [])
    return "\n\n".join(parts)


def _part(table: Table) -> list[str]:
    path = plots.draw(table, FOLDER)
    picture = f"![{table.title.replace('`', '')}]({path.relative_to(DOCUMENT.parent)})"
    return [table.markdown(), picture]
