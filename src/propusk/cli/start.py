"""What must hold before anything of the service starts, `serve` and `worker` alike."""

from propusk.assemble import assemble
from propusk.auth import Auth
from propusk.cli.run import Refused, migration_engine, require_schema
from propusk.create import standard_features
from propusk.db.revision import is_current
from propusk.production import unsafe_in_production
from propusk.settings import Settings


def refuse_unsafe(settings: Settings) -> None:
    """Refuse in production what `unsafe_in_production` finds."""
    if settings.environment == "production" and (unsafe := unsafe_in_production(settings)):
        raise Refused("\n".join(["environment = production refuses to start:", *(f"  {fault}" for fault in unsafe)]))


async def prepare(settings: Settings) -> None:
    """Everything that could stop the start, before the first process: SQLite's schema is brought up to date, others'
    is looked at; the keys are read and published.
    """
    auth = assemble(settings, standard_features())
    try:
        if auth.engine.dialect.name == "sqlite":
            await _upgrade(auth)
        await require_schema(auth)
        await auth.start()
    finally:
        await auth.close()


async def _upgrade(auth: Auth) -> None:
    if not await is_current(auth.engine, auth.tables.metadata):
        # Alembic is slow to load, and most starts do not need it.
        from propusk.db.migrate import upgrade

        async with migration_engine(auth.settings) as engine:
            await upgrade(engine, auth.tables.metadata)
