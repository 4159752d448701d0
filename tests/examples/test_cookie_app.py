"""The cookie app, row by row of its contract; its settings; its README as it is written."""

import asyncio
import base64
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from joserfc import jws
from joserfc import jwt as jose_jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from propusk import SettingsError
from tests.examples.conftest import StartExample
from tests.examples.kit import follow, readme, running

DATABASES = ("sqlite", "postgresql")
PASSWORD = "zq7canary old horse"
SECRET_KEY = "zq7canary-Kq2vV9x4LrT8mB1nW6yZ3cD5eF7gH0jP"
ADA = {"email": "ada@example.com", "password": PASSWORD}


@pytest.fixture
async def client(start_example: StartExample) -> httpx.AsyncClient:
    """A browser, as it were: it keeps the cookie."""
    return (await start_example("cookie_app")).client


async def ada_logs_in(client: httpx.AsyncClient) -> str:
    """She registers and logs in; returns her token."""
    assert (await client.post("/auth/register", json=ADA)).status_code == 200
    answer = await client.post("/auth/login", json=ADA)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


async def test_who_registers_is_told_their_id_and_address(client: httpx.AsyncClient) -> None:
    answer = await client.post("/auth/register", json=ADA)

    assert answer.status_code == 200
    body = answer.json()
    assert re.fullmatch(r"[0-9a-f-]{36}", body["added data"]["id"])
    assert body == {"status": "OK", "added data": {"id": body["added data"]["id"], "email": "ada@example.com"}}
    assert "set-cookie" not in answer.headers


async def test_an_address_that_is_taken_is_a_409(client: httpx.AsyncClient) -> None:
    await client.post("/auth/register", json=ADA)
    answer = await client.post("/auth/register", json={"email": "Ada@Example.com", "password": PASSWORD})

    assert (answer.status_code, answer.json()) == (409, {"detail": "Another user has this e-mail address."})


@pytest.mark.parametrize("path", ["/auth/register", "/auth/login"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"email": "ada@example.com"}', b'{"email": 1, "password": NaN}'])
async def test_a_malformed_body_is_a_422(client: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await client.post(path, content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 422
    assert [fault["loc"][0] for fault in answer.json()["detail"]] != []


@pytest.mark.parametrize("strange", [r"\u0000", r"\ud800", "a" * 60_000, "a" * 70_000, "\N{CAT FACE}", "<>"])
async def test_no_text_is_too_strange_for_an_answer(client: httpx.AsyncClient, strange: str) -> None:
    for fields in ({"email": strange}, {"email": f"{strange}@example.com"}, {"password": strange}):
        body = json.dumps(ADA | fields).replace(r"\\u", r"\u")
        for path, usual in (("/auth/register", {200, 413, 422}), ("/auth/login", {401, 413, 422})):
            answer = await client.post(path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code in usual, (path, fields)
            assert "detail" in answer.json() or answer.status_code == 200


@pytest.mark.parametrize(("field", "value"), [("email", "ada"), ("password", "short"), ("password", "password123")])
async def test_what_will_not_do_is_a_422_that_says_why(client: httpx.AsyncClient, field: str, value: str) -> None:
    answer = await client.post("/auth/register", json={**ADA, field: value})

    (fault,) = answer.json()["detail"]
    assert (answer.status_code, fault["loc"], fault.keys()) == (422, ["body", field], {"type", "loc", "msg"})


async def test_a_login_gives_the_token_in_the_body_and_in_one_cookie(client: httpx.AsyncClient) -> None:
    await client.post("/auth/register", json=ADA)
    answer = await client.post("/auth/login", json=ADA)

    assert answer.status_code == 200
    token = answer.json()["access_token"]
    assert answer.json() == {"status": "OK", "access_token": token}
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie == f"access_token={token}; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax"


async def test_wrong_passwords_and_unknown_addresses_are_the_same_401(client: httpx.AsyncClient) -> None:
    await client.post("/auth/register", json=ADA)
    wrong = await client.post("/auth/login", json=ADA | {"password": "zq7canary wrong"})
    unknown = await client.post("/auth/login", json=ADA | {"email": "eve@example.com"})

    assert (wrong.status_code, wrong.json()) == (401, {"detail": "No user has this login and this password."})
    assert (unknown.status_code, unknown.json()) == (wrong.status_code, wrong.json())
    assert [answer.headers.get("set-cookie") for answer in (wrong, unknown)] == [None, None]


async def test_the_cookie_says_who_is_calling(client: httpx.AsyncClient) -> None:
    registered = (await client.post("/auth/register", json=ADA)).json()["added data"]
    await client.post("/auth/login", json=ADA)
    answer = await client.get("/auth/get_me")

    assert (answer.status_code, answer.json()) == (200, registered)


async def test_without_a_token_or_with_a_wrong_one_nobody_is_in(client: httpx.AsyncClient) -> None:
    token = await ada_logs_in(client)
    client.cookies.clear()
    head, *middle, tag = token.split(".")
    other_tag = tag[:-2] + ("AA" if tag[-2:] != "AA" else "BB")

    for wrong in (None, "rubbish", ".".join([head, *middle, other_tag]), ".".join([head, *middle]), token + "A"):
        for method, path in (("GET", "/auth/get_me"), ("DELETE", "/auth/logout")):
            cookies = {"Cookie": f"access_token={wrong}"} if wrong is not None else {}
            answer = await client.request(method, path, headers=cookies)
            assert (answer.status_code, list(answer.json())) == (401, ["detail"]), (wrong, path)
    assert (await client.get("/auth/get_me", headers={"Cookie": f"access_token={token}"})).status_code == 200


async def test_after_a_logout_the_cookie_is_gone_and_the_token_dead(client: httpx.AsyncClient) -> None:
    token = await ada_logs_in(client)
    answer = await client.delete("/auth/logout")

    assert (answer.status_code, answer.json()) == (200, {"status": "OK"})
    assert answer.headers.get_list("set-cookie") == ["access_token=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"]
    assert list(client.cookies) == []
    for kept in ({"Cookie": f"access_token={token}"}, {"Authorization": f"Bearer {token}"}):
        assert (await client.get("/auth/get_me", headers=kept)).status_code == 401
        assert (await client.delete("/auth/logout", headers=kept)).status_code == 401


async def test_a_logout_ends_this_session_and_no_other(client: httpx.AsyncClient) -> None:
    first = await ada_logs_in(client)
    await client.post("/auth/login", json=ADA)
    await client.delete("/auth/logout")

    assert (await client.get("/auth/get_me", headers={"Cookie": f"access_token={first}"})).status_code == 200


async def test_a_page_of_another_origin_cannot_use_the_cookie(client: httpx.AsyncClient) -> None:
    await ada_logs_in(client)
    answer = await client.delete("/auth/logout", headers={"Origin": "https://evil.example"})

    assert (answer.status_code, list(answer.json())) == (403, ["detail"])
    assert (await client.get("/auth/get_me")).status_code == 200


async def test_t30_a_foreign_page_logs_nobody_in(client: httpx.AsyncClient) -> None:
    await client.post("/auth/register", json=ADA)
    answer = await client.post("/auth/login", json=ADA, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, list(answer.json()), dict(client.cookies)) == (403, ["detail"], {})


async def test_no_jwt_tool_shows_what_the_token_claims(client: httpx.AsyncClient) -> None:
    registered = (await client.post("/auth/register", json=ADA)).json()["added data"]
    token = (await client.post("/auth/login", json=ADA)).json()["access_token"]

    parts = [base64.urlsafe_b64decode(part + "==") for part in token.split(".")]
    header = json.loads(parts[0])
    assert header == {"alg": "dir", "enc": "A256GCM", "cty": "JWT", "kid": header["kid"]}
    for secret in (registered["id"], registered["email"], "exp", "sub"):
        assert not any(secret.encode() in part for part in parts), secret
    with pytest.raises(jwt.InvalidTokenError):
        jwt.decode(token, options={"verify_signature": False})
    with pytest.raises((JoseError, ValueError)):
        jws.extract_compact(token.encode())
    for key in (SECRET_KEY.encode(), bytes(32)):
        with pytest.raises(JoseError):
            jose_jwt.decode(token, OctKey.import_key(key[:32]), algorithms=["dir", "A256GCM"])


async def test_a_token_lives_for_as_long_as_the_settings_say(start_example: StartExample) -> None:
    client = (await start_example("cookie_app", PROPUSK_ACCESS_TOKEN_TTL="1s")).client
    token = await ada_logs_in(client)
    await asyncio.sleep(1.1)

    answer = await client.get("/auth/get_me", headers={"Cookie": f"access_token={token}"})
    assert answer.status_code == 401


OWN = {
    "DB_HOST": "db.example.com",
    "DB_PORT": "5433",
    "DB_USER": "ada",
    "DB_PASS": "zq7canary @/:%",
    "DB_NAME": "people",
    "JWT_SECRET_KEY": SECRET_KEY,
    "JWT_ALGORITHM": "ES256",
    "ACCESS_TOKEN_EXPIRE_MINUTES": "5",
}


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_own_names_are_read_from_env_and_propusk_wins(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from examples.cookie_app.settings import load_settings
    from propusk.db.engine import database_url

    (empty_folder / ".env").write_text("\n".join(f"{name}='{value}'" for name, value in OWN.items()))
    settings = load_settings()
    url = database_url(settings)
    assert (url.get_backend_name(), url.host, url.port, url.database) == (
        "postgresql",
        "db.example.com",
        5433,
        "people",
    )
    assert (url.username, url.password) == ("ada", OWN["DB_PASS"])
    assert [key.get_secret_value() for key in settings.secret_key] == [SECRET_KEY]
    assert (settings.token_algorithm, settings.access_token_ttl.total_seconds()) == ("ES256", 300)
    assert settings.token_encryption

    monkeypatch.setenv("PROPUSK_DATABASE_URL", "sqlite:///other.db")
    monkeypatch.setenv("PROPUSK_SECRET_KEY", SECRET_KEY[::-1])
    monkeypatch.setenv("PROPUSK_TOKEN_ALGORITHM", "EdDSA")
    monkeypatch.setenv("PROPUSK_ACCESS_TOKEN_TTL", "2m")
    settings = load_settings()
    assert database_url(settings).database == "other.db"
    assert [key.get_secret_value() for key in settings.secret_key] == [SECRET_KEY[::-1]]
    assert (settings.token_algorithm, settings.access_token_ttl.total_seconds()) == ("EdDSA", 120)


def test_a_key_that_is_too_short_is_named_as_it_stands_in_env(empty_folder: Path) -> None:
    from examples.cookie_app.settings import load_settings

    (empty_folder / ".env").write_text("JWT_SECRET_KEY=zq7canary\n")
    with pytest.raises(SettingsError) as told:
        load_settings()
    assert str(told.value).startswith("JWT_SECRET_KEY or PROPUSK_SECRET_KEY: each key needs at least 32 characters")
    assert "zq7canary" not in str(told.value)


def test_without_its_names_it_takes_sqlite_and_makes_its_keys(empty_folder: Path) -> None:
    from examples.cookie_app.settings import load_settings

    settings = load_settings()
    assert (settings.database_url, settings.secret_key) == (None, [])
    assert (settings.token_algorithm, settings.access_token_ttl.total_seconds()) == ("HS256", 3600)


def test_the_readme_does_what_it_says(database: dict[str, str], tmp_path: Path) -> None:
    """Where its database is PostgreSQL, that stands in `.env` as the README has it."""
    if database:
        (block,) = re.findall(r"^```ini\n(.*?)^```$", readme("cookie_app"), re.MULTILINE | re.DOTALL)
        name = urlsplit(database["PROPUSK_DATABASE_URL"]).path[1:]
        assert "DB_NAME=cookie_app\n" in block
        (tmp_path / ".env").write_text(block.replace("DB_NAME=cookie_app\n", f"DB_NAME={name}\n"))
    with running("cookie_app", tmp_path, {}) as url:
        follow("cookie_app", url, tmp_path)
    assert (tmp_path / "propusk-data" / "propusk.db").exists() is not bool(database)
