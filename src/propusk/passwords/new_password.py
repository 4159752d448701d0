"""Whether a password may be set: by the policy, and by the names of the person and of the place."""

import asyncio
from functools import partial
from urllib.parse import urlsplit

from propusk.context import Context
from propusk.errors import invalid
from propusk.passwords.policy import check_password


async def check_new_password(
    ctx: Context, password: str, *, names: tuple[str | None, ...], field: str = "password"
) -> None:
    """Refuse a password that is too short, too long, well known, built from one of `names` or of ours, or against the
    host's own rule.

    Runs in a thread: reading the list of well-known ones takes longer than the event loop may wait.

    Raises:
        InvalidInput
    """
    host = urlsplit(ctx.settings.public_url).hostname or ""
    words = [name for name in names if name] + ["propusk", host]
    await asyncio.to_thread(partial(check_password, ctx.settings.password, password, words=words, field=field))
    if ctx.host.check_password is not None and (fault := ctx.host.check_password(password)):
        raise invalid(field, "weak_password", fault)
