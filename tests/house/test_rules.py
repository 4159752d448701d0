"""The rules of the house, read from the source."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from propusk import events
from propusk.settings import LimitSettings, PasswordSettings, Settings

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "propusk"
FILES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
DIALECTS = ("db/dialect.py", "db/types.py", "db/engine.py", "db/engines.py", "db/reader.py")
# Where a use case is begun and ended.
BOUNDARY = ("web/context.py", "cli/", "auth.py", "db/migrate.py", "db/transactions.py", "tokens/keys.py", "alembic/")
DRIVER = ("db/sqlite_connection.py",)


def tree(path: str) -> ast.Module:
    return ast.parse((SOURCE / path).read_text())


def dotted(node: ast.AST) -> str:
    """`datetime.now` for the expression that says so."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def uses(path: str, pattern: str) -> list[str]:
    """Names and attributes of a file that match, with their lines."""
    nodes = (node for node in ast.walk(tree(path)) if isinstance(node, (ast.Attribute, ast.Name)))
    return [f"{path}:{node.lineno} {dotted(node)}" for node in nodes if re.search(pattern, dotted(node))]


def imports(path: str) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def found(pattern: str, *, except_in: tuple[str, ...]) -> list[str]:
    return [use for path in FILES if not path.startswith(except_in) for use in uses(path, pattern)]


def test_the_time_is_read_in_one_place() -> None:
    clock = r"(^|\.)(datetime\.(now|utcnow|today)|date\.today|time\.time(_ns)?)$"

    # A log has the machine's own time, and the verifier runs in services of others.
    assert found(clock, except_in=("db/clock.py", "web/access_log.py", "verify/verifier.py")) == []
    assert uses("db/clock.py", clock) != []


def test_randomness_is_drawn_at_the_edges_alone() -> None:
    allowed = ("crypto/keyfiles.py", "assemble.py", "server.py", "create.py", "alembic/", "cli/protocol.py")

    assert found(r"^(os\.(urandom|getrandom)|secrets\.|random\.|uuid\.uuid[14])", except_in=allowed) == []
    users = [(path, name) for path in FILES for name in imports(path) if name in ("random", "secrets")]
    assert [use for use in users if use[0] not in allowed] == []


def test_only_the_boundary_commits() -> None:
    assert found(r"\.commit$", except_in=(*BOUNDARY, *DRIVER)) == []


def test_every_statement_of_ours_is_known_for_ours() -> None:
    """What a host runs in a transaction of ours is noticed by that it is not."""
    # The keys are read on a connection, where nobody else is.
    assert found(r"(^|\.)db\.(execute|scalars?|stream\w*|get)$", except_in=("db/dialect.py", "tokens/queries.py")) == []


def test_what_databases_spell_differently_is_said_in_one_place() -> None:
    words = r"(dialect\.name|\.on_conflict\w*|\.on_duplicate\w*|\.returning|\.ilike|\.with_for_update|\.prefix_with)$"

    assert found(words, except_in=(*DIALECTS, "db/migrations/", "cli/", "auth.py")) == []


def test_only_commands_print() -> None:
    assert found(r"^print$", except_in=("cli/",)) == []


def test_no_test_patches_what_it_tests() -> None:
    patching = re.compile(r"monkeypatch\." + r"setattr|unittest\." + r"mock|mock" + r"er\b|\bMagic" + r"Mock")
    assert [path.name for path in TESTS if patching.search(path.read_text())] == []


@pytest.mark.parametrize("path", FILES)
def test_every_file_is_short_and_everything_public_is_explained(path: str) -> None:
    text = (SOURCE / path).read_text()
    if "migrations/versions" in path:
        return
    assert len(text.splitlines()) <= 300, "split it"
    module = tree(path)
    assert ast.get_docstring(module), "the file says what it is for"
    missing = [
        node.name
        for node in module.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        # A refusal's own words are its docstring.
        and not (isinstance(node, ast.ClassDef) and path == "errors.py")
    ]
    assert missing == []


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
    for group in (PasswordSettings, LimitSettings):
        assert fields(group), group


def test_every_kind_of_event_is_published_somewhere() -> None:
    kinds = {
        name for name, value in vars(events).items() if isinstance(value, type) and issubclass(value, events.Event)
    }
    made = {
        dotted(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else node.id
        for path in FILES
        if path != "events.py"
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.Call, ast.Name))
    }
    assert kinds - made == set()


def test_every_password_and_key_of_the_tests_has_the_canary() -> None:
    """Best effort: what is assigned to a name that says it is a secret."""
    plain = [
        f"{path.name}:{node.lineno} {node.targets[0].id}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and re.fullmatch(r"(PASSWORD|SECRET|SECRET_KEY|CLIENT_SECRET|NEW_PASSWORD)", node.targets[0].id)
        and isinstance(node.value, ast.Constant)
        and "zq7canary" not in str(node.value.value)
    ]
    assert plain == []
