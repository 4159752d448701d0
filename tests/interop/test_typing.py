"""What hosts write passes the type checkers, in their strict modes, without a cast. mypy's turn is `make lint`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.interop.test_jose import node

__all__ = ["node"]
HERE = Path(__file__).parent
TYPED = HERE.parent / "typing"


def pyright(node: str, folder: Path) -> list[dict[str, Any]]:
    """What pyright finds in a folder with a configuration, for the interpreter that runs us."""
    program = HERE / "node_modules" / "pyright" / "index.js"
    command = [node, str(program), "--outputjson", "--pythonpath", sys.executable, "--project", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (0, 1), done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["generalDiagnostics"]
    return found


def test_a_hosts_code_passes_pyright_in_strict_mode(node: str) -> None:
    assert [(fault["range"]["start"]["line"] + 1, fault["message"]) for fault in pyright(node, TYPED)] == []


MISTAKES = {
    "return [user.email, ": "return [user.mail, ",
    "claims=roles,": "claims=3,",
    "user.email if user else": "user.email if 1 else",
    "str(fields.newsletter)": "str(fields.newspaper)",
    "return token.subject": "return token.claims",
}


def test_pyright_sees_what_is_wrong(node: str, tmp_path: Path) -> None:
    source = (TYPED / "host_app.py").read_text()
    lines = set()
    for right, wrong in MISTAKES.items():
        assert source.count(right) == 1, right
        lines.add(source[: source.index(right)].count("\n"))
        source = source.replace(right, wrong)
    (tmp_path / "host_app.py").write_text(source)
    (tmp_path / "pyrightconfig.json").write_text((TYPED / "pyrightconfig.json").read_text())
    assert {fault["range"]["start"]["line"] for fault in pyright(node, tmp_path)} == lines
