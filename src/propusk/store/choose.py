"""Which store the settings ask for."""

from propusk.extras import explained
from propusk.settings import Settings, SettingsError
from propusk.store import Store
from propusk.store.sql import SqlStore


def store_for(settings: Settings, database: SqlStore) -> Store:
    """The database, or Redis with the database to fall back on.

    Raises:
        SettingsError: the client of Redis is not installed.
    """
    if settings.redis_server is None:
        return database
    try:
        from propusk.store.fallback import with_redis  # only who has a Redis pays for loading its client
    except ModuleNotFoundError as missing:
        raise SettingsError(f"redis_url: {explained(missing, 'redis')}") from None
    return with_redis(settings.redis_server, database, installation=settings.public_url)
