"""The cookie transport: names, flags and lives; what a planted, swapped or doubled cookie gets."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import MakeHouse
from tests.kit import PASSWORD, FakeClock, House

SAME = {"Sec-Fetch-Site": "same-origin"}
HTTPS = "https://auth.example.com"


async def log_in(client: httpx.AsyncClient, email: str = "ada@example.com") -> httpx.Response:
    answer = await client.post("/auth/login?transport=cookie", json={"login": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return answer


async def browser(house: House, email: str = "ada@example.com") -> httpx.AsyncClient:
    client = house.new_client(headers=SAME)
    await log_in(client, email)
    return client


def lines(answer: httpx.Response) -> dict[str, dict[str, Any]]:
    """The `Set-Cookie` lines by name: value and attributes."""
    found = {}
    for line in answer.headers.get_list("set-cookie"):
        pair, *attributes = line.split("; ")
        name, _, value = pair.partition("=")
        found[name] = {"value": value, **{a.partition("=")[0]: a.partition("=")[2] for a in attributes}}
    return found


@pytest.mark.parametrize(("url", "prefix"), [(HTTPS, "__Host-"), ("http://127.0.0.1:8000", "")])
async def test_t27_names_and_flags_follow_the_scheme_of_the_public_address(
    make_house: MakeHouse, url: str, prefix: str
) -> None:
    house = await make_house(public_url=url)
    await house.register()
    client = house.new_client(headers=SAME)
    answer = await log_in(client)
    assert answer.json().keys() == {"session_id", "expires_in", "user"}
    assert answer.headers["Cache-Control"] == "no-store"
    found = lines(answer)
    assert found.keys() == {f"{prefix}propusk_access", f"{prefix}propusk_refresh"}
    flags = {"Path": "/", "HttpOnly": "", "SameSite": "Lax", **({"Secure": ""} if prefix else {})}
    for cookie in found.values():
        assert {k: v for k, v in cookie.items() if k not in ("value", "Max-Age")} == flags
        assert cookie["value"] not in answer.text
    assert int(found[f"{prefix}propusk_access"]["Max-Age"]) == 600
    assert int(found[f"{prefix}propusk_refresh"]["Max-Age"]) == 30 * 86400
    assert (await client.get("/users/me")).status_code == 200


async def test_t27_over_tls_a_cookie_without_the_prefix_is_nothing(make_house: MakeHouse) -> None:
    house = await make_house(public_url=HTTPS)
    await house.register()
    client = await browser(house)
    bare = {name.removeprefix("__Host-"): value for name, value in client.cookies.items()}
    assert (await house.new_client(cookies=bare).get("/users/me")).status_code == 401
    assert (await house.new_client(cookies=bare, headers=SAME).post("/auth/refresh")).status_code == 401


async def test_a_refresh_by_cookie_answers_by_cookie(house: House) -> None:
    await house.register()
    client = await browser(house)
    before = dict(client.cookies)
    house.clock.tick(minutes=1)
    answer = await client.post("/auth/refresh")
    assert answer.status_code == 200
    assert answer.json().keys() == {"session_id", "expires_in", "user"}
    assert lines(answer).keys() == before.keys()
    assert all(client.cookies[name] != value for name, value in before.items())
    assert (await client.get("/users/me")).status_code == 200


async def test_a_refresh_token_in_the_body_wins_over_the_cookie(house: House) -> None:
    ada = await house.register()
    client = await browser(house)
    answer = await client.post("/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    assert answer.json()["session_id"] == ada.tokens["session_id"]
    assert "set-cookie" not in answer.headers
    bad = await client.post("/auth/refresh", json={"refresh_token": "zq7canary"})
    assert (bad.status_code, bad.json()["code"]) == (401, "invalid_refresh_token")


async def test_t18_a_bad_header_is_not_rescued_by_a_good_cookie(house: House) -> None:
    await house.register()
    client = await browser(house)
    for value in ("Bearer", "Bearer zq7canary", "Basic YTpi", "", "Bearer %zz", "zq7canary"):
        for method, path in (
            ("GET", "/users/me"),
            ("GET", "/auth/sessions"),
            ("POST", "/auth/refresh"),
            ("PATCH", "/users/me"),
        ):
            answer = await client.request(
                method, path, headers={"Authorization": value}, json={} if method == "PATCH" else None
            )
            assert answer.status_code == 401, (value, path)
            assert "WWW-Authenticate" in answer.headers


async def test_a_request_with_both_transports_is_judged_by_the_header(house: House) -> None:
    ada = await house.register()
    await house.register("bob@example.com")
    bob = await browser(house, "bob@example.com")
    assert (await bob.get("/users/me", headers=ada.bearer)).json()["email"] == "ada@example.com"
    foreign = {**ada.bearer, "Sec-Fetch-Site": "cross-site"}
    assert (await bob.patch("/users/me", json={"name": "Ada"}, headers=foreign)).status_code == 200
    assert (await bob.get("/users/me")).json()["name"] is None


async def test_t26_a_login_makes_a_new_session_and_replaces_both_cookies(house: House) -> None:
    await house.register()
    await house.register("bob@example.com")
    client = house.new_client(headers=SAME)
    client.cookies.set("propusk_access", "planted", domain="127.0.0.1", path="/")
    client.cookies.set("propusk_refresh", "planted", domain="127.0.0.1", path="/")
    first = await log_in(client)
    as_ada = dict(client.cookies)
    second = await log_in(client, "bob@example.com")
    assert {name: cookie["value"] for name, cookie in lines(second).items()}.keys() == as_ada.keys()
    assert not set(as_ada.values()) & {cookie["value"] for cookie in lines(second).values()}
    assert first.json()["session_id"] != second.json()["session_id"]
    assert second.json()["user"]["email"] == "bob@example.com"


async def test_t26_cookies_of_two_sessions_are_not_refreshed(house: House) -> None:
    await house.register()
    await house.register("bob@example.com")
    ada, bob = await browser(house), await browser(house, "bob@example.com")
    mixed = {"propusk_access": ada.cookies["propusk_access"], "propusk_refresh": bob.cookies["propusk_refresh"]}
    answer = await house.new_client(cookies=mixed, headers=SAME).post("/auth/refresh")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
    assert {row["refresh_counter"] for row in await house.rows("sessions")} == {0}
    assert (await bob.post("/auth/refresh")).status_code == 200


async def test_t26_one_planted_cookie_does_not_turn_into_a_pair(house: House) -> None:
    await house.register()
    client = await browser(house)
    planted = house.new_client(cookies={"propusk_access": client.cookies["propusk_access"]}, headers=SAME)
    answer = await planted.post("/auth/refresh")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


async def test_t29_a_cookie_does_not_outlive_its_session(make_house: MakeHouse) -> None:
    house = await make_house(session_max_age=timedelta(days=31))
    await house.register()
    client = await browser(house)
    house.clock.tick(days=29)
    two_days = 2 * 86400
    for _ in range(3):
        answer = lines(await client.post("/auth/refresh"))
        assert int(answer["propusk_refresh"]["Max-Age"]) == two_days
        assert int(answer["propusk_access"]["Max-Age"]) == 600
        house.clock.tick(minutes=1)
        two_days -= 60
    house.clock.tick(seconds=two_days - 30)
    answer = lines(await client.post("/auth/refresh"))
    assert {cookie["Max-Age"] for cookie in answer.values()} == {"30"}


A, R = b"propusk_access", b"propusk_refresh"
TOSSED: list[list[bytes]] = [
    [A + b"=%s; " + A + b"=%s"],
    [A + b"=%s; " + A + b"=x"],
    [A + b"=x; " + A + b"=%s"],
    [A + b"=%s", A + b"=x"],
    *([bytes([byte]) + A + b"=%s"] for byte in (0x85, 0xA0, 0x1C, 0x1D, 0x1E, 0x1F, 0x20, 0x09, 0x0B, 0x0C)),
    *([b"a=b; " + bytes([byte]) + A + b"=%s"] for byte in (0x85, 0xA0, 0x1C, 0x20, 0x09)),
    *([A + bytes([byte]) + b"=%s"] for byte in (0x85, 0xA0, 0x1C, 0x20, 0x09)),
    [b"$Version=1; $Path=/, " + A + b"=%s"],
    [b'$Version="1"; ' + A + b'="%s"'],
    [A + b'="%s"'],
    [A + b"=%s "],
    [A + b"= %s"],
    [A.upper() + b"=%s"],
    [b"__Host-" + A + b"=%s"],
    [b"a=b, " + A + b"=%s"],
    [b'a="b; ' + b"x" + A + b'=%s"'],
    [A],
    [A + b"="],
    [A + b"=" + b"x" * 9000],
    [A + b"=\xff\xfe"],
    [b";;;; ;; =; =%s; " + A],
]


async def raw(app: Any, method: str, path: str, cookies: list[bytes], extra: list[tuple[bytes, bytes]]) -> int:
    """A request whose headers no client library would send."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:8000"), *((b"cookie", value) for value in cookies), *extra]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
    }
    scope |= {"raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": headers}
    await app({**scope, "server": ("127.0.0.1", 8000), "client": ("198.51.100.7", 1)}, receive, send)
    status: int = sent[0]["status"]
    return status


async def test_t27_a_tossed_cookie_is_nobodys(house: House) -> None:
    await house.register()
    client = await browser(house)
    access = client.cookies["propusk_access"].encode()
    assert await raw(house.app, "GET", "/users/me", [A + b"=" + access], []) == 200
    for pattern in TOSSED:
        cookies = [line.replace(b"%s", access) for line in pattern]
        assert await raw(house.app, "GET", "/users/me", cookies, []) == 401, pattern


async def test_t27_a_hundred_other_cookies_do_not_push_ours_out(house: House) -> None:
    await house.register()
    access = (await browser(house)).cookies["propusk_access"].encode()
    junk = b"; ".join(b"junk%d=%s" % (n, b"x" * 60) for n in range(100))
    assert await raw(house.app, "GET", "/users/me", [junk + b"; " + A + b"=" + access], []) == 200
    assert await raw(house.app, "GET", "/users/me", [A + b"=" + access + b"; " + junk], []) == 200


async def test_t27_doubled_refresh_cookies_refresh_nothing(house: House) -> None:
    await house.register()
    client = await browser(house)
    refresh = client.cookies["propusk_refresh"].encode()
    for cookies in ([R + b"=" + refresh + b"; " + R + b"=" + refresh], [R + b"=x", R + b"=" + refresh]):
        assert await raw(house.app, "POST", "/auth/refresh", cookies, []) == 401
        assert await raw(house.app, "POST", "/auth/logout", cookies, []) == 401
    assert {row["refresh_counter"] for row in await house.rows("sessions")} == {0}
    assert (await client.get("/users/me")).status_code == 200


async def test_two_houses_of_one_database_take_each_others_cookies(make_house: MakeHouse) -> None:
    clock = FakeClock()
    one, two = await make_house(clock=clock), await make_house(clock=clock)
    await one.register()
    client = await browser(one)
    assert (await two.new_client(cookies=dict(client.cookies)).get("/users/me")).status_code == 200
