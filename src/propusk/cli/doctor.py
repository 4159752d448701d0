"""`propusk doctor`: what is not as it should be, and what to do about it."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
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
    printable,
)
from propusk.crypto.keyfiles import SECRET_KEY_FILE, load_secret_keys, read_keys, signing_key_path
from propusk.crypto.keyring import KeyFileError
from propusk.db.clock import DatabaseClock
from propusk.db.engine import connect, database_url, not_writable
from propusk.db.revision import current_revision, is_current, newest_revision
from propusk.db.schema import build_tables
from propusk.db.server import OLDEST, Server, ask_server
from propusk.db.transactions import session_factory
from propusk.mail import MailError
from propusk.mail.mailbox import where_mails_are
from propusk.mail.models import Outbox
from propusk.mail.queries import look_into_outbox
from propusk.mail.smtp import SmtpMailer
from propusk.production import unsafe_in_production
from propusk.setting_mail import MailServer
from propusk.setting_redis import RedisServer
from propusk.settings import Algorithm, Settings, SettingsError
from propusk.tokens.queries import list_fingerprints

MAX_OFFSET = 2.0
"""Seconds by which this machine's clock may differ from the database's before it is worth a word."""

LATE = timedelta(hours=1)
"""A mail that has waited for longer is worth a word."""


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
    """Check settings, files, keys, database, Redis and clock; exit status 1 if anything failed. Changes nothing."""
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
    yield from _unless_kept_out("data_dir", _files, settings)
    yield from _unless_kept_out("keys", lambda settings: [_signing_keys(settings)], settings)
    yield from _unless_kept_out("database", _database, settings)
    if settings.redis_server is not None:
        yield asyncio.run(_redis(settings, settings.redis_server))
    yield _mail_server(settings)
    if settings.templates_dir is not None and not settings.templates_dir.is_dir():
        yield Finding("templates", "fail", f"there is no folder {settings.templates_dir}", "correct templates_dir")


def _unless_kept_out(
    about: str, look: Callable[[Settings], Iterable[Finding]], settings: Settings
) -> Iterable[Finding]:
    try:
        return list(look(settings))
    except OSError as error:
        advice = "run this as the user that runs the service, and see that the files are theirs"
        return [Finding(about, "fail", f"{error.filename}: {error.strerror}", advice)]


def _safety(settings: Settings) -> Iterator[Finding]:
    unsafe = unsafe_in_production(settings)
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
    is_there = settings.data_dir.exists()
    if missing := missing_data_dir(settings):
        yield Finding("data_dir", "fail" if is_there else "warn", missing.partition(":")[0], missing.partition(": ")[2])
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
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database))
        if not path.exists():
            return [Finding("database", "warn", f"{shown} is not there yet", "the first start makes it")]
        if (closed := not_writable(path)) is not None:
            advice = "let the user that runs the service write to the file and its folder, on a disk that is writable"
            return [Finding("database", "fail", f"{shown} cannot be written: {closed} is read-only for us", advice)]
    try:
        return asyncio.run(ask_database(settings, shown, DatabaseClock()))
    except Exception as error:
        if not no_database(error):
            raise
        advice = "see that it runs, that the network lets us through, and that user and password are right"
        return [Finding("database", "fail", f"{shown} cannot be reached: {first_line(error)}", advice)]


async def ask_database(settings: Settings, shown: str, clock: DatabaseClock) -> list[Finding]:
    """What a database that answers, and is called `shown`, says about itself, its contents and our clock."""
    url = database_url(settings)
    engine = connect(url, pool_size=1)
    try:
        await clock.measure(engine)
        found = [
            Finding("database", "ok", f"{shown} answers"),
            *judge_server(await ask_server(engine), settings),
            _clock(clock.offset.total_seconds(), has_own=url.get_backend_name() != "sqlite"),
        ]
        there = await current_revision(engine)
        if not await is_current(engine):
            detail = f"schema {there or 'missing'}, this version needs {newest_revision()}"
            return [*found, Finding("schema", "fail", detail, "run propusk migrate")]
        found.append(Finding("schema", "ok", f"{there}; this version: {newest_revision()}"))
        async with session_factory(engine)() as db:
            known = await list_fingerprints(db, build_tables().secret_keys)
            outbox = await look_into_outbox(db, build_tables().mails)
        return [*found, _secret_key(settings, known), _outbox(outbox, clock())]
    finally:
        await engine.dispose()


def judge_server(server: Server | None, settings: Settings) -> list[Finding]:
    """Whether a database server is new enough and lets all our connections in; nothing on SQLite."""
    if server is None:
        return []
    found = []
    if server.is_too_old:
        shown, needed = (".".join(map(str, version)) for version in (server.version, OLDEST[server.name]))
        detail = f"{server.name} {shown} is too old"
        found.append(Finding("database", "fail", detail, f"take {needed} or newer"))
    processes = settings.workers + (0 if settings.jobs_inline else 1)
    wanted = processes * settings.database_connections
    shown = f"{processes} x {settings.database_connections}"
    detail = f"up to {wanted} from this node ({shown}); the server lets {server.room} in"
    if wanted <= server.room:
        return [*found, Finding("connections", "ok", f"{detail}, all nodes together")]
    advice = "lower database_connections or workers, or raise max_connections; some requests would get 503 under load"
    return [*found, Finding("connections", "warn", detail, advice)]


def _outbox(found: Outbox, now: datetime) -> Finding:
    detail = f"{found.queued} waiting, {found.failed} failed"
    if found.oldest is not None and now - found.oldest > LATE:
        advice = "see propusk mail list --state queued, and that the service or propusk worker runs"
        return Finding("outbox", "warn", f"{detail}; the oldest has waited for over an hour", advice)
    if found.failed:
        advice = "see propusk mail list --state failed; then propusk mail retry --failed"
        return Finding("outbox", "warn", detail, advice)
    return Finding("outbox", "ok", detail)


async def _redis(settings: Settings, server: RedisServer) -> Finding:
    from propusk.store.redis import RedisAway, RedisStore

    store = RedisStore(server, installation=settings.public_url)
    try:
        await store.check()
        evicts = await store.evicts()
    except RedisAway as error:
        advice = "see that it runs and that redis_url is right; until then the database counts attempts"
        return Finding("redis", "fail", f"{server.where()}: {printable(str(error))}", advice)
    finally:
        await store.close()
    if evicts:
        advice = "set maxmemory-policy noeviction: a counter that was thrown out is one that can be guessed past"
        return Finding("redis", "warn", f"{server.where()} throws counters out when its memory is full", advice)
    return Finding("redis", "ok", f"{server.where()} answers")


def _mail_server(settings: Settings) -> Finding:
    server = settings.mail_server
    if server is None:
        # The address of a service that is not asked, by settings that its command line may have changed.
        unless = "" if "public_url" in settings.model_fields_set else "; serve's --host and --port change the address"
        return Finding("mail", "ok", f"none is sent: {where_mails_are(settings)}{unless}")
    try:
        asyncio.run(_knock(server))
    except MailError as error:
        advice = "see that it runs, that the network lets us through, and that mail_url is right"
        return Finding("mail", "fail", printable(str(error)), advice)
    how = "nothing is encrypted" if server.security == "none" else f"its certificate is good ({server.security})"
    return Finding("mail", "ok", f"{server.host}:{server.port} takes mail from us; {how}")


async def _knock(server: MailServer) -> None:
    try:
        async with asyncio.timeout(30):
            await SmtpMailer(server).check()
    except TimeoutError:
        raise MailError(f"{server.host}:{server.port} takes too long", permanent=False) from None


def _clock(behind: float, *, has_own: bool) -> Finding:
    """`behind` is in seconds, and less than 0 if this machine's is ahead."""
    if not has_own:
        return Finding("clock", "ok", "SQLite has none of its own")
    side = "behind" if behind > 0 else "ahead of"
    detail = f"this machine's is {abs(behind):.3f} s {side} the database server's, which is corrected for"
    if abs(behind) <= MAX_OFFSET:
        return Finding("clock", "ok", detail)
    advice = "let NTP set both: tokens have the database server's time, and other services verify them by their own"
    return Finding("clock", "warn", detail, advice)


def _secret_key(settings: Settings, known: set[bytes]) -> Finding:
    if not settings.secret_key and not (settings.data_dir / SECRET_KEY_FILE).exists():
        return Finding(
            "secret_key", "fail" if known else "warn", "there is none", "set it, or copy it from where it was"
        )
    try:
        ours = {key.fingerprint for key in load_secret_keys(settings).keys}
    except KeyFileError as error:
        return Finding("secret_key", "fail", str(error), "give the service a file that it alone can read")
    if not known:
        return Finding("secret_key", "warn", "this database has not been used with any yet", "start the service")
    if known & ours:
        return Finding("secret_key", "ok", "the database knows it")
    advice = "give every node the same; to change it, put the new one before the old one"
    return Finding("secret_key", "fail", "the database is used with another", advice)
