"""How each product is started: the service as an operator does, the others as their documentation says."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import speech
from bench.speech import Speech

OURS, THEIRS = Path(".venv-bench/bin"), Path(".venv-peers/bin")
PEERS = Path("bench/peers")
NODE = shutil.which("node")
LIMITS = ("LOGIN_PAIR", "LOGIN_ACCOUNT", "LOGIN_NETWORK", "REGISTER", "REFRESH")


@dataclass(frozen=True)
class Place:
    """What a server gets to run with."""

    folder: Path
    port: int
    public_url: str
    database_url: str = ""
    redis_url: str | None = None


@dataclass(frozen=True)
class Product:
    """Something to measure.

    Args:
        command: starts it.
        environment: with these variables.
        prepare: makes its tables, where it does not do so itself.
        is_here: whether what it needs is installed.
        hashing: the bare hashing (bench.bare) that its logins are measured by.
        peer: not ours, so that its runs need not be as long.
        rest: seconds until what registrations leave to be done, as mails, is done.
    """

    speech: Speech
    command: Callable[[Place], list[str]]
    environment: Callable[[Place], Mapping[str, str]] = lambda _: {}
    prepare: Callable[[Place], list[str]] | None = None
    is_here: Callable[[], bool] = field(default=lambda: True)
    hashing: str = ""
    peer: bool = False
    rest: float = 0

    def make_tables(self, place: Place, environment: Mapping[str, str]) -> None:
        """Run what it wants to be run before its first start."""
        if self.prepare is not None:
            subprocess.run(self.prepare(place), env=environment, check=True, stdout=sys.stderr)


def _module(environment: Path, name: str) -> Callable[[Place], list[str]]:
    return lambda place: [str(environment / "python"), "-m", name, str(place.port)]


def _settings(place: Place) -> dict[str, str]:
    """Limits that the load does not meet, each attempt being counted all the same; tokens that outlive the bench."""
    settings = {
        "PROPUSK_DATA_DIR": str(place.folder / "data"),
        "PROPUSK_PUBLIC_URL": place.public_url,
        "PROPUSK_DATABASE_URL": place.database_url,
        "PROPUSK_ACCESS_TOKEN_TTL": "1h",
        **{f"PROPUSK_LIMITS__{limit}": "1000000000/1d" for limit in LIMITS},
    }
    return settings if place.redis_url is None else {**settings, "PROPUSK_REDIS_URL": f"{place.redis_url}/0"}


def _peer_settings(place: Place) -> dict[str, str]:
    async_url = place.database_url.replace("sqlite:", "sqlite+aiosqlite:").replace("postgresql:", "postgresql+asyncpg:")
    redis = {} if place.redis_url is None else {"PEER_REDIS_URL": f"{place.redis_url}/1"}
    return {"PEER_DATABASE_URL": async_url, **redis}


def _node_settings(place: Place) -> dict[str, str]:
    return {
        "NODE_ENV": "production",
        "BETTER_AUTH_URL": place.public_url,
        "BETTER_AUTH_SECRET": "a-secret-of-32-characters-or-more",
        "BETTER_AUTH_TELEMETRY": "0",
        "PEER_DATABASE_URL": place.database_url,
    }


def _has(module: str) -> bool:
    return any(THEIRS.parent.glob(f"lib/python*/site-packages/{module}"))


def _has_better_auth() -> bool:
    return NODE is not None and (PEERS / "node_modules/better-auth").exists()


def serve(workers: int) -> Product:
    """The service with that many workers."""
    return Product(
        speech.PROPUSK,
        command=lambda at: [str(OURS / "propusk"), "serve", "--port", str(at.port), "--workers", str(workers)],
        environment=_settings,
        prepare=lambda _: [str(OURS / "propusk"), "migrate"],
        hashing="argon2-cffi",
        rest=1.5,
    )


def fastapi_users(strategy: str) -> Product:
    """FastAPI Users with one of its strategies."""
    return Product(
        speech.FASTAPI_USERS,
        command=_module(THEIRS, "bench.peers.fastapi_users_app"),
        environment=lambda place: {**_peer_settings(place), "PEER_STRATEGY": strategy},
        is_here=lambda: _has("fastapi_users"),
        hashing="pwdlib",
        peer=True,
    )


FASTAPI = Product(speech.FLOOR, command=_module(OURS, "bench.floor"))
STARLETTE = Product(speech.FLOOR, command=_module(OURS, "bench.starlette_floor"))
PROPUSK = serve(1)
HOST = replace(PROPUSK, speech=replace(speech.PROPUSK, me="/mine", plain="/plain"), command=_module(OURS, "bench.host"))
CRUDAUTH = Product(
    speech.CRUDAUTH,
    command=_module(THEIRS, "bench.peers.crudauth_app"),
    environment=_peer_settings,
    is_here=lambda: _has("crudauth"),
    hashing="bcrypt",
    peer=True,
)
BETTER_AUTH = Product(
    speech.BETTER_AUTH,
    command=lambda place: [str(NODE), str(PEERS / "better_auth.mjs"), str(place.port)],
    environment=_node_settings,
    prepare=lambda _: [str(NODE), str(PEERS / "better_auth.mjs"), "migrate"],
    is_here=_has_better_auth,
    hashing="scrypt",
    peer=True,
)
