"""`propusk migrate`: bring the schema up, take it down, say where it stands."""

import json

import click
from alembic.util import CommandError

from propusk.assemble import assemble
from propusk.auth import Auth
from propusk.cli.run import Refused, as_json_option, load_settings, migration_engine, printable, run
from propusk.create import standard_features
from propusk.db import migrate as migrations
from propusk.db.revision import current_revision, is_current, newest_revision


@click.command()
@click.argument("action", type=click.Choice(["up", "down", "status"]), default="up")
@click.option("--revision", help="Where to go; by default the newest, or nothing at all for down.")
@click.option("--yes", is_flag=True, help="Do not ask before down, which deletes data.")
@as_json_option
def migrate(action: str, revision: str | None, yes: bool, as_json: bool) -> None:
    """Bring the database's schema up to this version (the default), take it down, or show where it stands."""
    if action == "down" and not yes:
        click.confirm("This deletes tables with all they hold. Go on?", abort=True, err=True)
    run(_migrate(action, revision, as_json=as_json))


async def _migrate(action: str, revision: str | None, *, as_json: bool) -> None:
    auth = assemble(load_settings(), standard_features())
    try:
        async with migration_engine(auth.settings) as engine:
            if action == "up":
                await migrations.upgrade(engine, auth.tables.metadata, revision or "head")
            elif action == "down":
                await migrations.downgrade(engine, auth.tables.metadata, revision or "base")
        await _show(auth, as_json=as_json)
    except CommandError as error:
        raise Refused(printable(str(error))) from None
    finally:
        await auth.close()


async def _show(auth: Auth, *, as_json: bool) -> None:
    there = await current_revision(auth.engine)
    if as_json:
        about = {
            "schema": there,
            "this_version": newest_revision(),
            "current": await is_current(auth.engine, auth.tables.metadata),
        }
        click.echo(json.dumps(about))
        return
    click.echo(f"schema: {there or 'none'}; this version: {newest_revision()}")
