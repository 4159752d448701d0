"""`propusk migrate`: bring the schema up, take it down, say where it stands."""

import click

from propusk.auth import Auth, create_auth
from propusk.cli.run import load_settings, run
from propusk.db import migrate as migrations
from propusk.db.revision import current_revision, newest_revision
from propusk.server import standard_features


@click.command()
@click.argument("action", type=click.Choice(["up", "down", "status"]), default="up")
@click.option("--revision", help="Where to go; by default the newest, or nothing at all for down.")
@click.option("--yes", is_flag=True, help="Do not ask before down, which deletes data.")
def migrate(action: str, revision: str | None, yes: bool) -> None:
    """Bring the database's schema up to this version (the default), take it down, or show where it stands."""
    if action == "down" and not yes:
        click.confirm("This deletes tables with all they hold. Go on?", abort=True)
    run(_migrate(action, revision))


async def _migrate(action: str, revision: str | None) -> None:
    auth = create_auth(load_settings(), standard_features())
    try:
        if action == "up":
            await migrations.upgrade(auth.engine, auth.tables.metadata, revision or "head")
        elif action == "down":
            await migrations.downgrade(auth.engine, auth.tables.metadata, revision or "base")
        await _show(auth)
    finally:
        await auth.close()


async def _show(auth: Auth) -> None:
    there = await current_revision(auth.engine)
    click.echo(f"schema: {there or 'none'}; this version: {newest_revision()}")
