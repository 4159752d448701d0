"""`propusk keys`: the keys that sign access tokens."""

import json
import time
from typing import Any

import click

from propusk.cli.run import as_json_option, in_transaction
from propusk.context import Context
from propusk.crypto.keyfiles import signing_key_path
from propusk.settings import Algorithm
from propusk.tokens.keys import KeyState, list_keys, revoke_key, rotate_keys, signs_from


@click.group()
def keys() -> None:
    """The keys that sign access tokens: list, rotate, revoke."""


@keys.command("list")
@as_json_option
def list_(as_json: bool) -> None:
    """List every key that was ever published, newest first, and say which one signs now."""

    async def act(ctx: Context) -> tuple[list[KeyState], Algorithm]:
        return await list_keys(ctx), ctx.settings.token_algorithm

    found, algorithm = in_transaction(act)
    if as_json:
        click.echo(json.dumps([_as_dict(key) for key in found], indent=2))
        return
    if algorithm is Algorithm.HS256:
        click.echo("token_algorithm is HS256: the newest secret_key signs, and is not listed", err=True)
    for key in found:
        click.echo(f"{key.kid}  {key.algorithm}  since {_time(key.first_seen_at)}  {key.state}")


def _as_dict(key: KeyState) -> dict[str, Any]:
    times = {name: getattr(key, name) for name in ("first_seen_at", "retired_at", "revoked_at")}
    shown = {name: _time(at) if at is not None else None for name, at in times.items()}
    return {"kid": key.kid, "algorithm": str(key.algorithm), "state": key.state, **shown}


def _time(at: Any) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


@keys.command()
@as_json_option
def rotate(as_json: bool) -> None:
    """Make a new key: published now, it signs once every verifier can know it; nobody is logged out."""

    async def act(ctx: Context) -> tuple[dict[str, Any], str | None]:
        key, written = await rotate_keys(ctx)
        about = {"kid": key.kid, "written": written, "file": str(signing_key_path(ctx.settings).absolute())}
        if written:
            return about | {"signs_from": _time(signs_from(ctx.now))}, None
        return about, key.pem.decode()

    about, pem = in_transaction(act)
    if as_json:
        click.echo(json.dumps(about | ({"pem": pem} if pem else {})))
    elif pem is None:
        click.echo(
            f"new key {about['kid']}, signs from {about['signs_from']};"
            " the older keys verify until their last token has expired"
        )
    else:
        click.echo(pem, nl=False)
    if pem is not None:
        click.echo(
            f"{about['file']} cannot be written. Put this key before the others in the file of every node; it is"
            " published when the first node reads it, and signs once every verifier can know it.",
            err=True,
        )


# A key id may begin with a dash, so nothing that looks like a short option is one here.
@keys.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("kid")
@as_json_option
def revoke(kid: str, as_json: bool) -> None:
    """Revoke a key whose private half leaked: tokens that it signed are refused everywhere when this returns."""
    wait = in_transaction(lambda ctx: revoke_key(ctx, kid=kid)).total_seconds()
    click.echo(f"revoked; waiting {wait:.0f} s until every process knows", err=True)
    time.sleep(wait)
    click.echo(json.dumps({"revoked": kid}) if as_json else f"revoked {kid}: no token of it is accepted any more")
