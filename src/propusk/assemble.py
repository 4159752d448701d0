"""An installation from settings and features, with a default for everything else."""

import os
from collections.abc import Sequence

from propusk.auth import Auth, Clock
from propusk.crypto.secrets import Entropy
from propusk.db.engines import Engines, open_engines
from propusk.db.schema import Tables, build_tables
from propusk.feature import Feature
from propusk.host import Host
from propusk.mail import Mailer
from propusk.settings import Settings


def assemble(
    settings: Settings,
    features: Sequence[Feature],
    *,
    tables: Tables | None = None,
    engines: Engines | None = None,
    host: Host = Host(),  # noqa: B008 (frozen)
    clock: Clock | None = None,
    entropy: Entropy = os.urandom,
    mailer: Mailer | None = None,
) -> Auth:
    """Put an installation together; `propusk.create_auth` is this for hosts.

    Args:
        settings: what the operator chose.
        features: what it is to do beyond users, sessions and tokens.
        tables, engines: by default ours, for `database_url`.
        host: what an application around us bends.
        clock: the time, aware; by default the process's clock corrected to the database's.
        entropy: n random bytes; by default the operating system's.
        mailer: who carries mails; by default what `mail_url` says.
    Raises:
        SettingsError, KeyFileError: something the settings name cannot be used.
    """
    return Auth(
        settings,
        features,
        tables=tables or build_tables(),
        engines=engines or open_engines(settings),
        host=host,
        clock=clock,
        entropy=entropy,
        mailer=mailer,
    )
