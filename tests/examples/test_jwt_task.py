"""The JWT task, row by row of its contract; its page and its document; its README as it is written."""

import asyncio
import re
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from propusk.domain import change_user, find_user_by_login
from tests.examples.conftest import Example, StartExample
from tests.examples.kit import follow, readme, running

DATABASES = ("sqlite", "postgresql")
PASSWORD = "zq7canary old horse"
ADA = {"username": "ada", "email": "ada@example.com", "password": PASSWORD}
EVE = {"username": "eve", "email": "eve@example.com", "password": PASSWORD}


@pytest.fixture
async def example(start_example: StartExample) -> Example:
    return await start_example("jwt_task")


@pytest.fixture
async def client(example: Example) -> httpx.AsyncClient:
    return example.client


async def log_in(client: httpx.AsyncClient, who: dict[str, str] = ADA, **form: str) -> httpx.Response:
    return await client.post("/login", data={"username": who["email"], "password": who["password"], **form})


async def tokens_of(client: httpx.AsyncClient, who: dict[str, str] = ADA) -> tuple[dict[str, str], str]:
    """Somebody new registers and logs in; returns the header and the refresh token."""
    assert (await client.post("/user/register", json=who)).status_code == 200
    answer = await log_in(client, who)
    assert answer.status_code == 200, answer.text
    return bearer(answer), answer.json()["refresh_token"]


def bearer(answer: httpx.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/refresh_jwt", json={"refresh_token": token})


async def test_who_registers_is_told_what_is_known_of_them(client: httpx.AsyncClient) -> None:
    answer = await client.post("/user/register", json=ADA | {"is_superuser": True})

    assert answer.status_code == 200
    person = answer.json()
    assert re.fullmatch(r"[0-9a-f-]{36}", person.pop("id"))
    assert person == {"username": "ada", "email": "ada@example.com", "is_active": True, "is_superuser": False}


@pytest.mark.parametrize("taken", [{"username": "ADA"}, {"email": "Ada@Example.com"}])
async def test_a_name_or_an_address_that_is_taken_is_a_409(client: httpx.AsyncClient, taken: dict[str, str]) -> None:
    await client.post("/user/register", json=ADA)
    answer = await client.post("/user/register", json=EVE | taken)

    assert (answer.status_code, list(answer.json())) == (409, ["detail"])
    assert "taken" in answer.json()["detail"] or "Another user" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/user/register", {"username": "ada", "email": "ada@example.com"}),
        ("/user/register", {"username": "ada", "password": PASSWORD}),
        ("/user/register", {"username": None, "email": "ada@example.com", "password": PASSWORD}),
        ("/user/register", ADA | {"password": "short"}),
        ("/user/register", ADA | {"email": "ada"}),
        ("/user/register", ADA | {"username": "a b"}),
        ("/login", {"username": "ada@example.com", "password": PASSWORD}),
        ("/refresh_jwt", {}),
        ("/refresh_jwt", {"refresh_token": 1}),
    ],
)
async def test_a_body_that_will_not_do_is_a_422(client: httpx.AsyncClient, path: str, body: object) -> None:
    answer = await client.post(path, json=body)

    assert answer.status_code == 422
    assert {fault["loc"][0] for fault in answer.json()["detail"]} == {"body"}
    assert "zq7canary" not in answer.text


@pytest.mark.parametrize("strange", ["\x00", "a" * 60_000, "a" * 70_000, "\N{CAT FACE}", "<>"])
async def test_no_text_is_too_strange_for_an_answer(client: httpx.AsyncClient, strange: str) -> None:
    answers = [await client.post("/user/register", json=ADA | {field: strange}) for field in ADA]
    answers += [await log_in(client, ADA | {field: strange}) for field in ("email", "password")]
    answers.append(await refresh(client, strange))

    assert {answer.status_code for answer in answers} <= {200, 401, 413, 422}
    assert all("detail" in answer.json() for answer in answers if answer.status_code != 200)


@pytest.mark.parametrize("multipart", [False, True])
async def test_a_login_by_form_gives_two_tokens(client: httpx.AsyncClient, multipart: bool) -> None:
    await client.post("/user/register", json=ADA)
    fields = {"grant_type": "password", "username": ADA["email"], "password": PASSWORD}
    parts = {name: (None, value) for name, value in fields.items()}
    answer = await (client.post("/login", files=parts) if multipart else client.post("/login", data=fields))

    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type", "refresh_token"}
    assert answer.json()["token_type"] == "bearer"
    assert (await client.get("/user", headers=bearer(answer))).status_code == 200
    assert "set-cookie" not in answer.headers


async def test_wrong_passwords_and_unknown_addresses_are_the_same_401(client: httpx.AsyncClient) -> None:
    await client.post("/user/register", json=ADA)
    wrong = await log_in(client, password="zq7canary wrong")
    unknown = await log_in(client, EVE)

    assert (wrong.status_code, wrong.json()) == (401, {"detail": "No user has this login and this password."})
    assert (unknown.status_code, unknown.json()) == (wrong.status_code, wrong.json())


async def test_a_refresh_gives_new_tokens_of_the_same_session(client: httpx.AsyncClient) -> None:
    first, token = await tokens_of(client)
    answer = await refresh(client, token)

    assert (answer.status_code, answer.json()["result"]) == (200, True)
    assert answer.json().keys() == {"result", "access_token", "refresh_token"}
    assert answer.json()["refresh_token"] != token
    for header in (bearer(answer), first):
        assert (await client.get("/user", headers=header)).status_code == 200
    await client.post("/logout", headers=bearer(answer))
    assert (await client.get("/user", headers=first)).status_code == 401


async def test_a_used_refresh_token_that_comes_back_ends_the_session(start_example: StartExample) -> None:
    client = (await start_example("jwt_task", PROPUSK_REFRESH_GRACE="0s")).client
    header, token = await tokens_of(client)
    successor = (await refresh(client, token)).json()["refresh_token"]

    for stale in (token, successor):
        answer = await refresh(client, stale)
        assert (answer.status_code, list(answer.json())) == (401, ["detail"])
    assert (await client.get("/user", headers=header)).status_code == 401


async def test_wrong_refresh_tokens_are_a_401(client: httpx.AsyncClient) -> None:
    header, token = await tokens_of(client)
    access = header["Authorization"].removeprefix("Bearer ")

    for wrong in ("", "rubbish", access, token[:-2] + ("AA" if token[-2:] != "AA" else "BB"), "\x00"):
        answer = await refresh(client, wrong)
        assert (answer.status_code, list(answer.json())) == (401, ["detail"]), wrong
    assert (await refresh(client, token)).status_code == 200


async def test_after_a_logout_both_tokens_are_dead(client: httpx.AsyncClient) -> None:
    header, token = await tokens_of(client)
    other = bearer(await log_in(client))
    answer = await client.post("/logout", headers=header)

    assert (answer.status_code, answer.json()) == (200, {"result": True})
    assert (await client.get("/user", headers=header)).status_code == 401
    assert (await client.post("/logout", headers=header)).status_code == 401
    assert (await refresh(client, token)).status_code == 401
    assert (await client.get("/user", headers=other)).status_code == 200


async def test_the_bearer_is_told_who_they_are(client: httpx.AsyncClient) -> None:
    registered = (await client.post("/user/register", json=ADA)).json()
    answer = await client.get("/user", headers=bearer(await log_in(client)))

    assert (answer.status_code, answer.json()) == (200, registered)


async def test_without_a_token_or_with_a_wrong_one_nobody_is_in(client: httpx.AsyncClient) -> None:
    header, token = await tokens_of(client)
    head, claims, signature = header["Authorization"].removeprefix("Bearer ").split(".")
    forged = f"{head}.{claims}.{signature[:-4]}AAAA"

    for method, path in (("GET", "/user"), ("POST", "/logout"), ("POST", f"/user/{uuid4()}")):
        for wrong in (None, "rubbish", forged, f"{head}.{claims}.", token):
            sent = {"Authorization": f"Bearer {wrong}"} if wrong is not None else {}
            answer = await client.request(method, path, headers=sent)
            assert (answer.status_code, list(answer.json())) == (401, ["detail"]), (path, wrong)
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_an_access_token_lives_for_as_long_as_the_settings_say(start_example: StartExample) -> None:
    client = (await start_example("jwt_task", PROPUSK_ACCESS_TOKEN_TTL="1s")).client
    header, token = await tokens_of(client)
    await asyncio.sleep(1.1)

    assert (await client.get("/user", headers=header)).status_code == 401
    assert (await refresh(client, token)).status_code == 200


async def test_a_user_is_shown_to_themselves_and_to_superusers_alone(example: Example) -> None:
    client = example.client
    ada, eve = (await tokens_of(client))[0], (await tokens_of(client, EVE))[0]
    person = (await client.get("/user", headers=ada)).json()
    mine = f"/user/{person['id']}"

    answer = await client.post(mine, headers=ada)
    assert (answer.status_code, answer.json()) == (200, person)
    refused = await client.post(mine, headers=eve)
    assert (refused.status_code, list(refused.json())) == (403, ["detail"])
    unknown = await client.post(f"/user/{uuid4()}", headers=eve)
    assert (unknown.status_code, unknown.json()) == (403, refused.json()), "nobody learns who is there"
    assert (await client.post(mine)).status_code == 401

    async with example.auth.transaction() as ctx:
        user = await find_user_by_login(ctx, EVE["email"])
        assert user is not None
        await change_user(ctx, user_id=user.id, changes={"is_superuser": True}, actor_id=None)
    answer = await client.post(mine, headers=eve)
    assert (answer.status_code, answer.json()) == (200, person)
    answer = await client.post(f"/user/{uuid4()}", headers=eve)
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is nothing here."})
    answer = await client.post("/user/nobody", headers=eve)
    assert (answer.status_code, list(answer.json())) == (404, ["detail"])


async def test_the_home_page_has_a_navigation_bar_and_a_logo(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    (bar,) = re.findall(r"<nav\b.*?</nav>", answer.text, re.DOTALL)
    assert "<svg" in bar
    links = set(re.findall(r'href="([^"]+)"', bar))
    assert links == {"/", "/docs", "/openapi.json"}
    for link in links:
        assert (await client.get(link)).status_code == 200, link


async def test_the_document_lists_it_all_and_the_authorize_button_logs_in_here(client: httpx.AsyncClient) -> None:
    assert "swagger" in (await client.get("/docs")).text.lower()
    document = (await client.get("/openapi.json")).json()

    operations = {(method, path) for path, item in document["paths"].items() for method in item}
    assert operations == {
        ("post", "/user/register"),
        ("post", "/login"),
        ("post", "/refresh_jwt"),
        ("post", "/logout"),
        ("get", "/user"),
        ("post", "/user/{user_id}"),
    }
    flow = document["components"]["securitySchemes"]["login"]["flows"]["password"]
    assert flow["tokenUrl"] == "login"
    form = document["paths"]["/login"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert {"username", "password"} <= form["properties"].keys()
    assert {"login": []} in document["paths"]["/user"]["get"]["security"]


def test_the_readme_does_what_it_says(database: dict[str, str], tmp_path: Path) -> None:
    """Where its database is PostgreSQL, that stands in `.env` as the README has it."""
    if database:
        (line,) = re.findall(r"^```ini\n(.*?)^```$", readme("jwt_task"), re.MULTILINE | re.DOTALL)
        assert line == "PROPUSK_DATABASE_URL=postgresql://postgres@127.0.0.1/jwt_task\n"
        (tmp_path / ".env").write_text(f"PROPUSK_DATABASE_URL={database['PROPUSK_DATABASE_URL']}\n")
    with running("jwt_task", tmp_path, {}) as url:
        follow("jwt_task", url, tmp_path)
    assert (tmp_path / "propusk-data" / "propusk.db").exists() is not bool(database)
