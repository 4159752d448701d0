"""What is no address of ours, or takes another method: a problem document, and never a redirect."""

import pytest

from propusk.web.routes.pages import refusal_classes
from tests.conftest import MakeHouse
from tests.kit import PASSWORD, House, limits
from tests.raw import ask

JSON = {"Content-Type": "application/json"}
OTHER_SPELLINGS = {
    "two slashes before": "//auth/login",
    "two slashes within": "/auth//login",
    "a dot": "/auth/./login",
    "two dots": "/users/../auth/login",
    "dots, encoded": "/users/%2e%2e/auth/login",
    "a slash behind": "/auth/login/",
    "another case": "/Auth/Login",
    "a parameter": "/auth/login;x",
    "a parameter, encoded": "/auth/login%3Bx",
    "NUL": "/auth/login%00",
    "a line end": "/auth/login%0A",
    "a space": "/auth/login%20",
    "a slash, encoded twice": "/auth%252Flogin",
    "a backslash": "/auth\\login",
    "a full-width slash": "/auth%EF%BC%8Flogin",
    "no UTF-8": "/auth/login%FF",
    "an extension": "/auth/login.json",
}


async def test_t46_another_spelling_of_a_path_is_404_and_no_redirect(house: House) -> None:
    ada = await house.register()
    body = f'{{"login": "{ada.email}", "password": "{PASSWORD}"}}'.encode()
    for name, target in OTHER_SPELLINGS.items():
        answer = await ask(house.app, "POST", target, headers=JSON, body=body)

        assert answer.status == 404, name
        assert answer.code == "not_found", name
        assert answer.header("location") is None, name
    assert (await ask(house.app, "POST", "/auth/login", headers=JSON, body=body)).status == 200


@pytest.mark.parametrize("target", ["/auth/login", "/%61uth/login", "/auth/%6Cogin", "/auth%2Flogin"])
async def test_t46_an_encoding_of_the_same_path_meets_the_same_limit(make_house: MakeHouse, target: str) -> None:
    house = await make_house(limits=limits(login_pair="2/15m"))
    body = b'{"login": "ada@example.com", "password": "zq7canary no"}'
    plain = [await ask(house.app, "POST", "/auth/login", headers=JSON, body=body) for _ in range(2)]

    answer = await ask(house.app, "POST", target, headers=JSON, body=body)

    assert [a.status for a in plain] == [401, 401]
    assert (answer.status, answer.code) == (429, "too_many_requests")


@pytest.mark.parametrize("target", ["/users/me", "/users/%6De", "/%75sers/me"])
async def test_t46_an_encoding_of_the_same_path_meets_the_same_check_of_origin(house: House, target: str) -> None:
    ada = await house.register()
    cookies = {**JSON, "Cookie": f"propusk_access={ada.tokens['access_token']}", "Sec-Fetch-Site": "cross-site"}

    answer = await ask(house.app, "PATCH", target, headers=cookies, body=b'{"name": "Eve"}')

    assert (answer.status, answer.code) == (403, "cross_origin")
    assert (await ada.get("/users/me")).json()["name"] is None


async def test_t46_an_id_with_anything_around_it_is_404(house: House) -> None:
    root = await house.superuser()
    spellings = ["{}/", "%7B{}%7D", "{}%2F", "{}%00", "{}%0A", "urn:uuid:{}", "..%2F{}", "{};x", "%20{}", "{}.json"]
    for spelling in spellings:
        answer = await ask(house.app, "GET", f"/users/{spelling.format(root.id)}", headers=root.bearer)

        assert answer.status == 404, spelling
        assert answer.code == "not_found", spelling


UNKNOWN = ["/nope", "/docs/", "/docs/a/b", "/.well-known/nope", "/auth", "/index.html", "/users/me/", "/problems/"]


async def test_an_unknown_address_is_a_404_problem(house: House) -> None:
    calls = [(method, target) for target in UNKNOWN for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS")]
    for method, target in [*calls, ("GET", "/docs/nope"), ("HEAD", "/docs/nope"), ("GET", "/problems/nope")]:
        answer = await ask(house.app, method, target)

        assert answer.status == 404, (method, target)
        assert answer.header("content-type") == "application/problem+json", (method, target)
        assert answer.header("x-request-id"), (method, target)
        assert answer.header("location") is None, (method, target)


ALLOWED = {
    "/": "GET, HEAD",
    "/docs": "GET, HEAD",
    "/docs/swagger-ui.css": "GET, HEAD",
    "/openapi.json": "GET, HEAD",
    "/problems/not_found": "GET, HEAD",
    "/.well-known/jwks.json": "GET, HEAD",
    "/healthz": "GET, HEAD",
    "/readyz": "GET, HEAD",
    "/auth/register": "POST",
    "/auth/login": "POST",
    "/auth/refresh": "POST",
    "/auth/logout": "POST",
    "/auth/introspect": "POST",
    "/auth/sessions": "DELETE, GET, HEAD",
    "/auth/sessions/00000000-0000-7000-8000-000000000000": "DELETE",
    "/users": "GET, HEAD, POST",
    "/users/me": "DELETE, GET, HEAD, PATCH",
    "/users/me/password": "POST",
    "/users/me/delete": "POST",
    "/users/00000000-0000-7000-8000-000000000000": "DELETE, GET, HEAD, PATCH",
    "/users/00000000-0000-7000-8000-000000000000/sessions": "DELETE, GET, HEAD",
}


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "TRACE", "BREW", "get"])
async def test_another_method_is_a_405_problem_that_names_every_right_one(house: House, method: str) -> None:
    for target, allowed in ALLOWED.items():
        answer = await ask(house.app, method, target)

        assert (answer.status, answer.code) == (405, "method_not_allowed"), target
        assert answer.header("allow") == allowed, target


async def test_head_answers_as_get_does_without_the_body(house: House) -> None:
    root = await house.superuser()
    for target in (path for path, methods in ALLOWED.items() if "HEAD" in methods):
        get, head = [await ask(house.app, method, target, headers=root.bearer) for method in ("GET", "HEAD")]

        assert (head.status, head.body) == (get.status, b""), target
        without_name = [[pair for pair in answer.headers if pair[0] != "x-request-id"] for answer in (get, head)]
        assert without_name[0] == without_name[1], target


async def test_a_method_in_a_header_or_a_query_changes_nothing(house: House) -> None:
    ada = await house.register()
    headers = {**ada.bearer, "X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE"}

    answer = await ask(house.app, "GET", "/auth/sessions?_method=DELETE", headers=headers)

    assert (answer.status, len(answer.json()["items"])) == (200, 1)


async def test_every_answer_has_a_request_id_and_a_plain_one_is_echoed(house: House) -> None:
    for target in ("/healthz", "/users/me", "/nope", "/docs", "/problems/nope", "/auth/login"):
        new = [(await ask(house.app, "GET", target)).header("x-request-id") for _ in range(2)]
        echoed = await ask(house.app, "GET", target, headers={"X-Request-ID": "my-request.1_A"})

        assert all(new), target
        assert len(set(new)) == 2, target
        assert echoed.header("x-request-id") == "my-request.1_A", target


async def test_a_request_id_that_is_not_plain_is_replaced(house: House) -> None:
    for given in ("short", "x" * 65, "has space", "a" * 8 + "\r\nX-Evil: 1", "ümlaute-", "a/b/c/d/e", "a" * 8 + "\n"):
        answer = await ask(house.app, "GET", "/nope", headers=[(b"x-request-id", given.encode())])

        assert answer.header("x-request-id") not in (None, given)
        assert answer.header("x-evil") is None


async def test_every_code_has_the_page_that_its_problem_documents_point_at(house: House) -> None:
    for code, refusal in refusal_classes().items():
        answer = await house.client.get(f"/problems/{code}")

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert code in answer.text
        assert refusal.title in answer.text


async def test_no_page_names_an_address_outside(house: House) -> None:
    for path in ("/", "/docs", "/docs/start.js", "/problems/not_found"):
        answer = await house.client.get(path)

        assert answer.status_code == 200, path
        assert "//" not in answer.text, path
        assert "http" not in answer.text, path


async def test_the_files_of_the_docs_are_there_and_named_relative_to_the_page(house: House) -> None:
    page = (await house.client.get("/docs")).text
    for name, kind in {
        "swagger-ui-bundle.js": "text/javascript",
        "swagger-ui.css": "text/css",
        "start.js": "text/javascript",
        "favicon-32x32.png": "image/png",
    }.items():
        answer = await house.client.get(f"/docs/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert f'"docs/{name}"' in page
