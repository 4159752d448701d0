"""For hosts: an installation inside somebody else's application."""

import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk.assemble import assemble
from propusk.auth import Auth, Clock
from propusk.context import Context
from propusk.crypto.secrets import Entropy
from propusk.db.engine import connect, database_url
from propusk.db.engines import lent_engines, open_engines
from propusk.db.schema import build_tables
from propusk.db.transactions import undivided
from propusk.db.users_table import UsersTable
from propusk.events import Event
from propusk.feature import Feature
from propusk.features import admin, audit, email, notices, password
from propusk.host import CookieNames, Host, Rule
from propusk.mail import Mailer
from propusk.production import unsafe_in_production
from propusk.registry import Subscriber
from propusk.settings import Settings, SettingsError
from propusk.users.models import User
from propusk.users.profile import check_fields

log = logging.getLogger(__name__)
_COOKIE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
Handler = Callable[[Context, Any], Awaitable[None]]


def standard_features() -> list[Feature]:
    """What the service can do."""
    return [password.feature(), email.feature(), notices.feature(), admin.feature(), audit.feature()]


def create_auth(
    settings: Settings,
    features: Sequence[Feature] | None = None,
    *,
    engine: AsyncEngine | None = None,
    users: UsersTable | None = None,
    metadata: MetaData | None = None,
    on: Sequence[tuple[type[Event], Handler]] = (),
    user_fields: type[BaseModel] | None = None,
    check_password: Rule | None = None,
    check_username: Rule | None = None,
    claims: Callable[[User], Mapping[str, Any]] | None = None,
    refresh_tokens: bool = True,
    cookies: CookieNames | None = None,
    login_form: str | None = None,
    clock: Clock | None = None,
    entropy: Entropy = os.urandom,
    mailer: Mailer | None = None,
) -> Auth:
    """Put an installation together, for your app.

    Args:
        settings: `Settings.from_env()`, or made by you.
        features: what it does beyond users, sessions and tokens; by default all that the service does.
        engine: share the connections of your engine instead of opening some for `database_url`; beside them we open at
            most four (counters, and one to see who calls). For SQLite make it with `make_engine`.
        users: your own users table, instead of `propusk_users`.
        metadata: where our tables are to be defined, for foreign keys by name and for Alembic; by default our own.
        on: `(UserRegistered, handler)`: `await handler(ctx, event)` runs in the transaction of what happened, for the
            event and its subclasses. What it raises undoes all of it. It must not commit: `ctx.db.commit()` is
            refused, one by way of its connection or in SQL is not noticed, there or in a route.
        user_fields: what `profile` holds, as a model; checked on each write, and stored by its aliases. Read it with
            `profile_of`.
        check_password, check_username: rules beyond ours: a sentence why not, or None.
        claims: more claims for access tokens, from the user at the time of issue. They are signed, not secret. A
            token has at most 8192 characters; a browser keeps no cookie of more than 4096.
        refresh_tokens: False for none: a session lasts for one `access_token_ttl`, and there is no `/auth/refresh`.
        cookies: other names for the cookies that browsers get.
        login_form: the path of a route of yours that takes a `LoginForm`, for the Authorize button of `/docs`; by
            default ours, if you serve it.
        clock: the time, aware; by default the process's clock corrected to the database's.
        entropy: n random bytes; by default the operating system's.
        mailer: who carries mails; by default what `mail_url` says.
    Raises:
        SettingsError: something that the settings name cannot be used, or is not safe where `environment` is
            `production`; the text names each.
        KeyFileError: a key file cannot be used.
    """
    if settings.environment == "production":
        _refuse_unsafe(settings, own_mailer=mailer is not None)
    _check_cookies(cookies, https=settings.secure)
    if user_fields is not None:
        check_fields(user_fields)
    handlers = Feature("host", subscribers=tuple(Subscriber(event, _guarded(handle)) for event, handle in on))
    return assemble(
        settings,
        [*(standard_features() if features is None else features), handlers],
        tables=build_tables(users, metadata),
        engines=lent_engines(engine) if engine is not None else open_engines(settings),
        host=Host(user_fields, check_password, check_username, claims, refresh_tokens, cookies, login_form),
        clock=clock,
        entropy=entropy,
        mailer=mailer,
    )


def make_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine as ours are, for you to share: with the driver, the time-outs and the isolation that we rely on.

    Args:
        url: `sqlite:///…`, `postgresql://…` or `mysql://…`. A file of SQLite's that is not there is made at the first
            connection, for nobody but this user of the system to read.
        pool_size: most connections at once.
    Raises:
        SettingsError: another kind of URL.
    """
    return connect(database_url(Settings.model_validate({"database_url": url})), pool_size=pool_size)


def _guarded(handle: Handler) -> Handler:
    async def guarded(ctx: Context, event: Any) -> None:
        async with undivided(ctx.db):
            await handle(ctx, event)

    return guarded


def _refuse_unsafe(settings: Settings, *, own_mailer: bool) -> None:
    faults = [fault for fault in unsafe_in_production(settings) if not (own_mailer and fault.startswith("mail_url"))]
    if faults:
        raise SettingsError("\n".join(["environment = production is refused:", *(f"  {fault}" for fault in faults)]))


def _check_cookies(cookies: CookieNames | None, *, https: bool) -> None:
    """Names are tokens (RFC 6265, section 4.1.1)."""
    for name in (cookies.access, cookies.refresh) if cookies is not None else ():
        if not _COOKIE_NAME.fullmatch(name):
            raise SettingsError(f"cookies: {name!r} is no name for a cookie")
        if not https and name.lower().startswith(("__host-", "__secure-")):
            raise SettingsError(f"cookies: browsers drop {name}, as public_url is not https")
        if https and not name.startswith("__Host-"):
            log.warning("cookies: any other host of this domain can plant a cookie %s; call it __Host-%s", name, name)
    if cookies is not None and cookies.access == cookies.refresh:
        raise SettingsError("cookies: the two need two names")
