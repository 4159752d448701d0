"""`propusk doctor`: what is not as it should be, and what to do about it."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from propusk.cli.run import (
    Refused,
    as_json_option,
    describe_database,
    first_line,
    load_settings,
    missing_data_dir,
    no_database,
)
from propusk.crypto.keyfiles import SECRET_KEY_FILE, load_secret_keys, read_keys, signing_key_path
from propusk.crypto.keyring import KeyFileError
from propusk.db.clock import DatabaseClock
from propusk.db.engine import connect, database_url, session_factory
from propusk.db.revision import current_revision, is_current, newest_revision
from propusk.db.schema import build_tables
from propusk.settings import Algorithm, Settings, SettingsError
from propusk.tokens.queries import list_fingerprints

MAX_OFFSET = 2.0
"""Seconds by which this machine's clock may differ from the database's before it is worth a word."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: how it is and, unless it is fine, what to do."""

    about: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    advice: str = ""


@click.command()
@as_json_option
def doctor(as_json: bool) -> None:
    """Check settings, files, keys, database and clock; exit status 1 if anything failed. Changes nothing."""
    found = list(_look())
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            click.echo(f"{finding.status:<5}{finding.about:<12}{finding.detail}")
            if finding.advice:
                click.echo(f"{'':<17}-> {finding.advice}")
    if any(finding.status == "fail" for finding in found):
        raise SystemExit(1)


def _look() -> Iterator[Finding]:
    try:
        settings = load_settings()
    except Refused as refusal:
        yield Finding("settings", "fail", refusal.message, "correct the environment, .env or propusk.toml")
        return
    yield Finding("settings", "ok", f"environment = {settings.environment}; propusk config shows all")
    yield from _safety(settings)
    yield from _files(settings)
    yield _signing_keys(settings)
    yield from _database(settings)


def _safety(settings: Settings) -> Iterator[Finding]:
    unsafe = settings.unsafe_in_production()
    status: Literal["warn", "fail"] = "fail" if settings.environment == "production" else "warn"
    for fault in unsafe:
        yield Finding("safety", status, fault, "needed before production")
    if not unsafe:
        yield Finding("safety", "ok", "nothing in the settings that production would refuse")
        if settings.environment != "production":
            advice = "set PROPUSK_ENVIRONMENT=production where it serves people"
            yield Finding("safety", "warn", "development: an unsafe setting would not stop the start", advice)


def _files(settings: Settings) -> Iterator[Finding]:
    """Whether anybody else can read what we keep on the disk."""
    if missing := missing_data_dir(settings):
        yield Finding("data_dir", "warn", missing.partition(":")[0], missing.partition(": ")[2])
    if not settings.data_dir.is_dir():
        return
    folder = settings.data_dir.absolute()
    modes = {path: path.stat().st_mode for path in (folder, *sorted(folder.iterdir()))}
    exposed = {path: mode for path, mode in modes.items() if mode & 0o077}
    for path, mode in exposed.items():
        advice = f"chmod {'700' if path.is_dir() else '600'} {path}"
        if mode & 0o007:
            yield Finding("data_dir", "fail", f"others may look into {path}", advice)
        else:
            yield Finding("data_dir", "warn", f"its group may look into {path}", f"unless that is meant: {advice}")
    if not exposed:
        yield Finding("data_dir", "ok", f"{folder}, readable by its owner alone")


def _signing_keys(settings: Settings) -> Finding:
    if settings.token_algorithm is Algorithm.HS256:
        return Finding("keys", "ok", "HS256: secret_key signs")
    path = signing_key_path(settings)
    if not path.exists() and settings.signing_key_file is None:
        return Finding("keys", "warn", f"{path.absolute()} is not there yet", "the first start makes it")
    try:
        keys = [key for key in read_keys(path) if key.algorithm is settings.token_algorithm]
    except KeyFileError as error:
        return Finding("keys", "fail", str(error), "give the service a key file that it alone can read")
    if not keys:
        return Finding(
            "keys", "fail", f"{path} has no key for {settings.token_algorithm}", "add one, before the others"
        )
    detail = f"{path.absolute()}: {len(keys)} for {settings.token_algorithm}"
    if path.stat().st_mode & 0o070:
        return Finding("keys", "warn", f"{detail}; its group may read it", f"unless that is meant: chmod 600 {path}")
    return Finding("keys", "ok", detail)


def _database(settings: Settings) -> list[Finding]:
    shown = describe_database(settings)
    try:
        url = database_url(settings)
    except SettingsError as error:
        return [Finding("database", "fail", str(error), "correct database_url")]
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        return [Finding("database", "warn", f"{shown} is not there yet", "the first start makes it")]
    try:
        return asyncio.run(_ask(settings, shown))
    except Exception as error:
        if not no_database(error):
            raise
        advice = "see that it runs, that the network lets us through, and that user and password are right"
        return [Finding("database", "fail", f"{shown} cannot be reached: {first_line(error)}", advice)]


async def _ask(settings: Settings, shown: str) -> list[Finding]:
    url = database_url(settings)
    engine = connect(url, pool_size=1)
    try:
        clock = DatabaseClock()
        await clock.measure(engine)
        found = [
            Finding("database", "ok", f"{shown} answers"),
            _clock(clock.offset.total_seconds(), has_own=url.get_backend_name() != "sqlite"),
        ]
        there = await current_revision(engine)
        if not await is_current(engine):
            detail = f"schema {there or 'missing'}, this version needs {newest_revision()}"
            return [*found, Finding("schema", "fail", detail, "run propusk migrate")]
        found.append(Finding("schema", "ok", f"{there}; this version: {newest_revision()}"))
        async with session_factory(engine)() as db:
            known = await list_fingerprints(db, build_tables().secret_keys)
        return [*found, _secret_key(settings, known)]
    finally:
        await engine.dispose()


def _clock(offset: float, *, has_own: bool) -> Finding:
    if not has_own:
        return Finding("clock", "ok", "SQLite has none of its own")
    detail = f"{offset:+.3f} s to the database's, which is corrected for"
    if abs(offset) <= MAX_OFFSET:
        return Finding("clock", "ok", detail)
    return Finding("clock", "warn", detail, "synchronise both (NTP): other services verify tokens by theirs")


def _secret_key(settings: Settings, known: set[bytes]) -> Finding:
    if not settings.secret_key and not (settings.data_dir / SECRET_KEY_FILE).exists():
        return Finding(
            "secret_key", "fail" if known else "warn", "there is none", "set it, or copy it from where it was"
        )
    ours = {key.fingerprint for key in load_secret_keys(settings).keys}
    if not known:
        return Finding("secret_key", "warn", "this database has not been used with any yet", "start the service")
    if known & ours:
        return Finding("secret_key", "ok", "the database knows it")
    advice = "give every node the same; to change it, put the new one before the old one"
    return Finding("secret_key", "fail", "the database is used with another", advice)
