"""The links that a running service sent, from its local mailbox."""

import asyncio
import re
import time
from email import message_from_bytes
from email.policy import default

from tests.process.service import PATIENCE
from tests.process.town import Town
from tests.process.wire import Ask


async def link(town: Town, to: str, page: str) -> str:
    """The token of the newest link to a page that was sent to an address; waits for the mail."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for file in sorted((town.service.folder / "propusk-data" / "mail").glob("*.eml"), reverse=True):
            mail = message_from_bytes(file.read_bytes(), policy=default)
            body = mail.get_body(("plain",))
            found = re.search(rf"/{page}\?token=(\S+)", body.get_content() if body is not None else "")
            if mail["To"] == to and found is not None:
                return found[1]
        await asyncio.sleep(0.1)
    raise AssertionError(f"no link to {page} for {to}")


def use(path: str, token: str) -> Ask:
    return Ask("POST", f"/auth/{path}", body={"token": token})
