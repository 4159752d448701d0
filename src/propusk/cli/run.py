"""What every command needs: settings, a transaction, and refusals as sentences with exit status 1."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from socket import gaierror
from typing import Any, TypeVar

import click
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.assemble import assemble
from propusk.auth import Auth
from propusk.context import Context
from propusk.create import standard_features
from propusk.crypto.keyring import KeyFileError
from propusk.db.dialect import is_away
from propusk.db.engine import connect, database_url
from propusk.db.revision import is_current
from propusk.errors import AuthError, InvalidInput
from propusk.settings import Settings, SettingsError
from propusk.tokens.keys import UnknownSecretKey

T = TypeVar("T")
as_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


class Refused(click.ClickException):
    """The command was understood and refused: exit status 1."""

    exit_code = 1


def load_settings(**overrides: Any) -> Settings:
    """The settings of the environment, or the faults as a refusal."""
    try:
        return Settings.from_env(**overrides)
    except SettingsError as error:
        raise Refused(str(error)) from None


def missing_data_dir(settings: Settings) -> str | None:
    """What to tell somebody whose settings need a `data_dir` that is not there, or no folder."""
    needs = settings.database_url is None or not settings.secret_key or settings.signing_key_file is None
    try:
        if not needs or settings.data_dir.is_dir():
            return None
        if settings.data_dir.exists():
            return f"data_dir is no folder: {settings.data_dir.absolute()} is a file"
    except OSError as error:
        return f"data_dir is out of reach: {error.filename}: {error.strerror}"
    return (
        f"there is no {settings.data_dir.absolute()}: start the service once (propusk serve), run this where it"
        " runs, or set PROPUSK_DATA_DIR"
    )


def require_data_dir(settings: Settings) -> None:
    """Refuse to make a second, empty installation because somebody stands in another folder."""
    if missing := missing_data_dir(settings):
        raise Refused(missing)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; what can be expected to go wrong becomes a sentence."""
    try:
        return asyncio.run(main)
    except InvalidInput as refusal:
        raise Refused("\n".join(f"{fault.field}: {fault.message}" for fault in refusal.errors)) from None
    except AuthError as refusal:
        raise Refused(str(refusal)) from None
    except (SettingsError, KeyFileError, UnknownSecretKey) as error:
        raise Refused(str(error)) from None
    except BrokenPipeError:
        raise  # whoever read our output has gone (`| head`); click ends quietly
    except Exception as error:
        if no_database(error):
            raise Refused(f"the database cannot be reached: {first_line(error)}") from None
        if isinstance(error, OSError) and error.filename:
            raise Refused(f"{error.filename}: {error.strerror}") from None
        raise


def no_database(error: Exception) -> bool:
    """Whether the database is away, knows no such user or database, or its host has no address."""
    if isinstance(error, DBAPIError) and str(getattr(error.orig, "sqlstate", None))[:2] in ("28", "3D"):
        return True
    return is_away(error) or isinstance(error, (gaierror, TimeoutError))


def printable(text: str) -> str:
    """Text that somebody chose, for a terminal: nothing in it moves the cursor or turns the line around."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def first_line(error: BaseException) -> str:
    """What went wrong, without SQLAlchemy's links and without parameters."""
    return (str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__])[0]


async def with_context(settings: Settings, act: Callable[[Context], Awaitable[T]]) -> T:
    """Run `act` in one transaction of an installation, as a request would."""
    auth = assemble(settings, standard_features())
    try:
        await require_schema(auth)
        await auth.start()
        async with auth.transaction() as ctx:
            return await act(ctx)
    finally:
        await auth.close()


@asynccontextmanager
async def migration_engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine of its own: what stops a hanging request must not stop a long migration."""
    engine = connect(database_url(settings), pool_size=1, migrating=True)
    try:
        yield engine
    finally:
        await engine.dispose()


async def require_schema(auth: Auth) -> None:
    """Refuse a database without our tables, or with older ones."""
    if not await is_current(auth.engine, auth.tables.metadata):
        raise Refused("the database's schema is missing or older than this version: run propusk migrate")


def describe_database(settings: Settings) -> str:
    """The database's URL without its password, or the file in `data_dir`."""
    if settings.database_url is None:
        return str(settings.data_dir.absolute() / "propusk.db")
    try:
        url = make_url(settings.database_url.get_secret_value())
    except (ArgumentError, ValueError):
        return "(not a database URL)"
    # Drivers take a password there, too.
    hidden = {name: "***" for name in url.query if name not in ("sslmode", "charset")}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def in_transaction(act: Callable[[Context], Awaitable[T]]) -> T:
    """Run `act` on the installation that the environment describes."""
    settings = load_settings()
    require_data_dir(settings)
    return run(with_context(settings, act))
