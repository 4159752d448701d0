"""The README's tour, executed as it is written: every block of commands, against what it says they print."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.process.service import Service, environment

pytestmark = pytest.mark.xdist_group("processes")
ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def tour() -> list[tuple[str, str]]:
    """The tour's blocks in their order, `sh` or `text`."""
    section = (ROOT / "README.md").read_text().split("## A tour in five minutes")[1].split("\n## ")[0]
    return BLOCK.findall(section)


def pattern(expected: str) -> str:
    """What the output must match: `…` stands for anything."""
    return ".*".join(re.escape(part) for part in expected.strip().split("…"))


def test_the_tour_does_what_it_says(tmp_path: Path) -> None:
    blocks = tour()
    assert len([kind for kind, _ in blocks if kind == "text"]) >= 6
    script = "set -eu\n" + "".join(text if kind == "sh" else "echo '--- expected'\n" for kind, text in blocks)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    with Service(tmp_path) as service:
        env = environment({"URL": service.url})
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split("--- expected\n")
    for output, expected in zip(printed, (text for kind, text in blocks if kind == "text"), strict=False):
        assert re.fullmatch(pattern(expected), output.strip(), re.DOTALL), f"{output}\nis not\n{expected}"
