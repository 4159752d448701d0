"""Secrets at rest and in logs: after every route has seen some, none of them can be read anywhere."""

import asyncio
import logging
import re
from base64 import b64encode
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.backends import Backend
from tests.kit import PASSWORD, SECRET_KEY, House, Person

CANARY = "zq7canary"
OTHER = "zq7canary new horse"
WRONG = "zq7canary wrong horse"


async def tour(house: House) -> list[str]:
    """Every route, with good credentials and bad; returns every credential that was handed out."""
    root = await house.superuser()
    ada = await house.register("ada@example.com", username="ada")
    browser = house.new_client(headers={"Sec-Fetch-Site": "same-origin"})
    cookie = await browser.post("/auth/login?transport=cookie", json={"login": "ada", "password": PASSWORD})
    handed = [*ada.tokens.values(), *root.tokens.values(), *cookie.cookies.values()]
    for visitor in (ada, root):
        await visitor.refresh()
        handed += visitor.tokens.values()
    await browser.post("/auth/refresh")
    handed += browser.cookies.values()
    await fail(house, ada)
    await ada.post("/users/me/password", {"current_password": PASSWORD, "new_password": OTHER})
    handed += await links(house)
    assert (await house.client.post("/auth/reset-password", json={"token": handed[-1], "password": OTHER})).is_success
    handed += await follow_links(house, ada)
    created = await root.post("/users", {"email": "grace@example.com", "password": OTHER})
    path = f"/users/{created.json()['id']}"
    for answer in (
        await ada.get("/users/me"),
        await ada.patch("/users/me", {"name": "Ada"}),
        await ada.get("/auth/sessions"),
        await root.get("/users"),
        await root.get(path),
        await root.patch(path, {"is_active": False}),
        await root.get(f"{path}/sessions"),
        await root.delete(f"{path}/sessions"),
        await root.delete(path),
        await house.client.get("/.well-known/jwks.json"),
        await house.client.get("/readyz"),
        await ada.delete("/auth/sessions?keep_current=true"),
        await ada.post("/auth/logout"),
    ):
        assert answer.status_code in (200, 204), answer.text
        assert CANARY not in answer.text
    return [str(value) for value in handed if isinstance(value, str) and len(value) > 40]


async def links(house: House) -> list[str]:
    """Somebody registers and forgets; returns the tokens in their mails, the newest last."""
    await house.register("lin@example.com")
    await house.mails()
    await house.client.post("/auth/forgot-password", json={"email": "lin@example.com"})
    texts = [mail.text for mail in await house.mails("lin@example.com")]
    return [token for text in texts for token in re.findall(r"\?token=(\S+)", text)]


async def follow_links(house: House, ada: Person) -> list[str]:
    """Verify and change the address; returns the tokens of the links. (httpx would log the address of a page.)"""
    handed = [await house.last_token(ada.email)]
    assert (await house.client.post("/auth/verify", json={"token": handed[0]})).status_code == 200
    house.clock.tick(seconds=1)
    answer = await ada.post("/users/me/email", {"new_email": "ada@example.org", "password": OTHER})
    assert answer.status_code == 202
    handed += [await house.last_token("ada@example.org"), await house.last_token(ada.email)]
    assert (await house.client.post("/auth/confirm-email", json={"token": handed[1]})).status_code == 200
    return handed


async def fail(house: House, ada: Person) -> None:
    """Each way of being refused with a secret in hand."""
    for method, path, body in (
        ("POST", "/auth/login", {"login": WRONG, "password": WRONG}),
        ("POST", "/auth/login", {"login": "ada", "password": WRONG}),
        ("POST", "/auth/login", {"login": "ada", "password": PASSWORD, WRONG: 1}),
        ("POST", "/auth/register", {"email": f"{CANARY}@", "password": WRONG, "username": WRONG}),
        ("POST", "/auth/register", {"email": "ada@example.com", "password": WRONG}),
        ("POST", "/auth/refresh", {"refresh_token": WRONG}),
        ("POST", "/auth/logout", {"refresh_token": WRONG}),
        ("POST", "/auth/introspect", {"token": WRONG}),
        ("POST", "/auth/forgot-password", {"email": f"{CANARY}@"}),
        ("POST", "/auth/reset-password", {"token": WRONG, "password": WRONG}),
        ("POST", "/auth/request-verify-token", {"email": f"{CANARY}@"}),
        ("POST", "/auth/verify", {"token": WRONG}),
        ("POST", "/auth/confirm-email", {"token": WRONG}),
        ("POST", "/auth/undo-email", {"token": WRONG}),
        ("POST", "/users/me/email", {"new_email": f"{CANARY}@", "password": WRONG}),
        ("POST", "/users/me/password", {"current_password": WRONG, "new_password": OTHER}),
        ("DELETE", "/users/me", {"password": WRONG}),
        ("POST", "/users/me/delete", {"password": [WRONG]}),
    ):
        basic = {"Authorization": f"Basic {b64encode(f'id:{WRONG}'.encode()).decode()}"}
        options = {"headers": basic} if path == "/auth/introspect" else {}
        answer = await ada.call(method, path, json=body, **options)
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert CANARY not in answer.text


async def dump(house: House, folder: Path, backend: Backend) -> bytes:
    """Everything that the database keeps: the files of SQLite, every row of the others."""
    if backend.name == "sqlite":
        path = Path(str(house.auth.engine.url.database))
        files = await asyncio.to_thread(lambda: sorted(path.parent.glob(f"{path.name}*")))
        assert path.with_name(path.name + "-wal") in files
        return b"".join(file.read_bytes() for file in files)
    kept = []
    async with house.auth.engine.connect() as connection:
        for table in house.auth.tables.metadata.sorted_tables:
            rows = (await connection.execute(text(f"SELECT * FROM {table.name}"))).all()
            kept += [value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row]
    return b"\n".join(kept)


async def test_t55_t56_no_secret_can_be_read_from_the_database_or_the_log(
    house: House, backend: Backend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    handed = await tour(house)
    stored = await dump(house, tmp_path, backend)

    assert len(handed) >= 10
    assert b"root@example.com" in stored, "the dump holds what is kept"
    assert CANARY.encode() not in stored
    assert [token for token in handed if token.encode() in stored or token in caplog.text] == []
    assert [token for token in handed if token.rpartition(".")[2].encode() in stored] == []
    assert caplog.records
    assert CANARY not in caplog.text
    assert CANARY not in repr(house.auth.settings)
    assert SECRET_KEY not in str(house.auth.settings.model_dump())
