"""What nothing can beat: bare work on the server's core."""

import subprocess

from bench.bare import KIB, PASSES
from bench.products import NODE, OURS, PEERS, THEIRS
from bench.servers import SERVER_CORE, on_core
from propusk.settings import PasswordSettings

NAMES = {
    "argon2-cffi": "argon2-cffi alone, with our parameters",
    "cryptography": "cryptography's Argon2 alone, with the same (we take it)",
    "pwdlib": "argon2-cffi alone, with its own (FastAPI Users takes them)",
    "bcrypt": "bcrypt alone, with its own parameters (crudauth takes them)",
    "scrypt": "node's scrypt alone, with Better Auth's parameters",
}


def hashing(kind: str, seconds: int) -> float:
    """Bare hashes per second, of this kind."""
    ours = PasswordSettings()
    if (ours.iterations, ours.memory_kib) != (PASSES, KIB):
        raise RuntimeError("bench.bare hashes with other parameters than the service does")
    return _run(_command(kind, seconds))


def updates(database_url: str, connections: int, seconds: int) -> float:
    """Commits per second of one-row updates by asyncpg alone."""
    return _run([str(OURS / "python"), "-m", "bench.bare", "updates", database_url, str(connections), str(seconds)])


def _command(kind: str, seconds: int) -> list[str]:
    if kind == "scrypt":
        return [str(NODE), str(PEERS / "scrypt.mjs"), str(seconds)]
    environment = OURS if kind == "cryptography" else THEIRS
    return [str(environment / "python"), "-m", "bench.bare", kind, str(seconds)]


def _run(command: list[str]) -> float:
    return float(
        subprocess.run([*on_core(SERVER_CORE), *command], stdout=subprocess.PIPE, check=True, text=True).stdout
    )
