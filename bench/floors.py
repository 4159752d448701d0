"""What nothing can beat: bare work on the server's core."""

import subprocess
from collections.abc import Iterable

from bench.products import NODE, OURS, PEERS, THEIRS
from bench.servers import SERVER_CORE, on_core

NAMES = {
    "argon2-cffi": "argon2-cffi alone, with our parameters",
    "pwdlib": "argon2-cffi alone, with its own (FastAPI Users takes them)",
    "bcrypt": "bcrypt alone, with its own parameters (crudauth takes them)",
    "scrypt": "node's scrypt alone, with Better Auth's parameters",
}


def hashing(kinds: Iterable[str], seconds: int) -> dict[str, float]:
    """Bare hashes per second, of each kind."""
    return {kind: _run(_command(kind, seconds)) for kind in kinds}


def updates(database_url: str, connections: int, seconds: int) -> float:
    """Commits per second of one-row updates by asyncpg alone."""
    return _run([str(OURS / "python"), "-m", "bench.bare", "updates", database_url, str(connections), str(seconds)])


def _command(kind: str, seconds: int) -> list[str]:
    if kind == "scrypt":
        return [str(NODE), str(PEERS / "scrypt.mjs"), str(seconds)]
    environment = OURS if kind == "argon2-cffi" else THEIRS
    return [str(environment / "python"), "-m", "bench.bare", kind, str(seconds)]


def _run(command: list[str]) -> float:
    return float(
        subprocess.run([*on_core(SERVER_CORE), *command], stdout=subprocess.PIPE, check=True, text=True).stdout
    )
