"""Bars as SVG: the first column of each table, and where its bar is."""

from html import escape
from pathlib import Path

from bench.row import Figure, Table, number

WIDTH, LABEL, LINE, TOP = 860, 330, 24, 34
PLOT = WIDTH - LABEL - 140
OURS, THEIRS, BAR = "#2f6f9f", "#9aa5ad", "#c0392b"


def draw(table: Table, folder: Path) -> Path:
    """Write the plot of a table; where it is."""
    path = folder / f"{table.name}.svg"
    path.write_text(svg(table))
    return path


def svg(table: Table) -> str:
    """One horizontal bar for each row that has the figure."""
    heading = table.headings[0]
    rows = [(row.name, figure) for row in table.rows if (figure := row.figures.get(heading)) is not None]
    most = max(max(figure.high, _bar(figure)) for _, figure in rows) or 1
    height = TOP + LINE * len(rows) + 8
    title = f"{_plain(table.title)}: {_plain(heading)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="20" font-weight="600" fill="#222">{title}</text>',
        *(_line(n, name, figure, most) for n, (name, figure) in enumerate(rows)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _line(n: int, name: str, figure: Figure, most: float) -> str:
    def at(value: float) -> float:
        return round(LABEL + PLOT * value / most, 1)

    y = TOP + LINE * n
    colour = OURS if name.startswith("Propusk") else THEIRS
    parts = [
        f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end" fill="#222">{_plain(name)}</text>',
        f'<rect x="{LABEL}" y="{y + 4}" width="{at(figure.value) - LABEL:.1f}" height="14" fill="{colour}"/>',
    ]
    if figure.low != figure.high:
        parts.append(f'<path d="M{at(figure.low)} {y + 11}H{at(figure.high)}" stroke="#222" stroke-width="1.5"/>')
    if figure.wanted:
        parts.append(f'<path d="M{at(_bar(figure))} {y + 1}V{y + 21}" stroke="{BAR}" stroke-width="2"/>')
    end = max(at(figure.value), at(figure.high), at(_bar(figure)))
    text = number(figure.value) + (f" (wanted {escape(figure.wanted)})" if figure.wanted else "")
    parts.append(f'<text x="{end + 6:.1f}" y="{y + 15}" fill="#222">{text}</text>')
    return "\n".join(parts)


def _bar(figure: Figure) -> float:
    return float(figure.wanted.split()[1]) if figure.wanted else 0


def _plain(text: str) -> str:
    return escape(text.replace("`", ""))
