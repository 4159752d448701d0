"""Strict bodies in a real FastAPI app: what FastAPI would take, StrictRoute refuses, and the transaction sees it."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, ClassVar
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.types import Message, Scope

from propusk.errors import AuthError, EmailTaken, InvalidInput
from propusk.web.body import MAX_BODY
from propusk.web.faults import refusal_of
from propusk.web.route import StrictRoute, accepts_form, read_fields

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
GOOD = {"email": "ada@example.com", "password": "zq7canary-horse"}


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    email: str
    password: str
    age: int | None = None


class Token(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    refresh_token: str


async def watched(request: Request) -> AsyncIterator[None]:
    """Stands where the transaction stands: notes each request that came so far, and what it ended with."""
    try:
        yield
    except Exception as error:
        request.app.state.seen.append(error)
        raise
    request.app.state.seen.append(None)


def routes(route_class: type[StrictRoute] = StrictRoute) -> APIRouter:
    router = APIRouter(route_class=route_class, dependencies=[Depends(watched, scope="function")])

    @router.post("/needs")
    async def post_needs(body: Credentials) -> dict[str, object]:
        return body.model_dump()

    @router.post("/may")
    async def post_may(body: Token | None = None) -> object:
        return body and body.refresh_token

    @router.post("/embeds")
    async def post_embeds(email: Annotated[str, Body()], token: Annotated[str | None, Body()] = None) -> object:
        return [email, token]

    @router.post("/nothing")
    async def post_nothing() -> str:
        return "done"

    @router.delete("/needs")
    async def delete_needs(body: Token) -> str:
        return body.refresh_token

    @router.post("/form")
    @accepts_form
    async def post_form(request: Request) -> dict[str, object]:
        return await read_fields(request)

    @router.get("/items")
    async def get_items(
        limit: Annotated[int, Query(ge=1, le=200)] = 50, created_after: AwareDatetime | None = None, q: str = ""
    ) -> object:
        return [limit, q]

    @router.get("/items/{item}")
    async def get_item(item: UUID, limit: int = 1) -> str:
        return str(item)

    @router.post("/taken")
    async def post_taken(body: Credentials) -> None:
        raise EmailTaken

    @router.post("/gone")
    async def post_gone(body: Credentials) -> None:
        raise HTTPException(410, "gone")

    @router.post("/waits")
    async def post_waits(request: Request, body: Credentials) -> bool:
        return await request.is_disconnected()

    return router


async def render(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AuthError)
    request.app.state.refusals.append(error)
    faults = [[e.field, e.code] for e in error.errors] if isinstance(error, InvalidInput) else []
    sentences = [e.message for e in error.errors] if isinstance(error, InvalidInput) else []
    document = {"code": error.code, "errors": faults, "detail": str(error), "sentences": sentences}
    return JSONResponse(document, error.status, error.headers())


def build(route_class: type[StrictRoute] = StrictRoute, prefix: str = "") -> FastAPI:
    app = FastAPI(strict_content_type=False)  # a host may have turned it off
    app.state.seen, app.state.refusals = [], []
    app.add_exception_handler(AuthError, render)
    app.include_router(routes(route_class), prefix=prefix)
    return app


@pytest.fixture
def app() -> FastAPI:
    return build()


async def send(
    app: FastAPI, method: str, path: str, content: bytes = b"", headers: Sequence[tuple[str, str]] = ()
) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.request(method, path, content=content, headers=list(headers))


async def post(
    app: FastAPI, path: str, content: bytes, kind: str | None = JSON, *more: tuple[str, str]
) -> httpx.Response:
    headers = [] if kind is None else [("Content-Type", kind)]
    return await send(app, "POST", path, content, [*headers, *more])


def outcome(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


class Wire:
    """A request given message by message, as a server gives it; counts what was taken of it."""

    def __init__(self, messages: AsyncIterator[Message], headers: dict[bytes, bytes], version: str = "1.1") -> None:
        self.scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": version,
            "method": "POST",
            "scheme": "http",
            "path": "/needs",
            "raw_path": b"/needs",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), *headers.items()],
            "client": ("127.0.0.1", 5),
            "server": ("test", 80),
        }
        self.messages, self.taken = messages, 0
        self.answers: list[Message] = []

    async def receive(self) -> Message:
        self.taken += 1
        return await anext(self.messages)

    async def send(self, message: Message) -> None:
        self.answers.append(message)

    async def ask(self, app: FastAPI, path: str = "/needs") -> tuple[int, str | None, dict[bytes, bytes]]:
        self.scope.update(path=path, raw_path=path.encode())
        await app(self.scope, self.receive, self.send)
        start, *bodies = self.answers
        document = json.loads(b"".join(body["body"] for body in bodies))
        code = document["code"] if isinstance(document, dict) and "code" in document else None
        return start["status"], code, dict(start["headers"])


async def chunks(*parts: bytes, pause: float = 0.0) -> AsyncIterator[Message]:
    for part in parts:
        await asyncio.sleep(pause)
        yield {"type": "http.request", "body": part, "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False}


async def endless(part: bytes, pause: float = 0.0) -> AsyncIterator[Message]:
    while True:
        await asyncio.sleep(pause)
        yield {"type": "http.request", "body": part, "more_body": True}


# What is good goes through


@pytest.mark.parametrize(
    "kind", [JSON, "application/json; charset=utf-8", "APPLICATION/JSON", 'application/json;charset="UTF-8"']
)
async def test_a_json_body_arrives(app: FastAPI, kind: str) -> None:
    answer = await post(app, "/needs", json.dumps(GOOD).encode(), kind)
    assert (answer.status_code, answer.json()) == (200, GOOD | {"age": None})
    assert app.state.seen == [None]


async def test_a_body_in_pieces_arrives_whole(app: FastAPI) -> None:
    parts = [bytes([byte]) for byte in json.dumps(GOOD).encode()]
    assert (await Wire(chunks(*parts), {}).ask(app))[0] == 200


async def test_a_body_of_exactly_the_bound_arrives(app: FastAPI) -> None:
    body = json.dumps(GOOD).encode().ljust(MAX_BODY)
    assert (await post(app, "/needs", body)).status_code == 200
    assert (await Wire(chunks(body[:5], body[5:]), {}).ask(app))[0] == 200


async def test_a_deletion_may_have_a_body(app: FastAPI) -> None:
    answer = await send(app, "DELETE", "/needs", b'{"refresh_token": "zq7canary"}', [("Content-Type", JSON)])
    assert answer.json() == "zq7canary"


@pytest.mark.parametrize("kind", [None, JSON, "text/plain"])
async def test_an_empty_body_where_one_is_needed_is_malformed(app: FastAPI, kind: str | None) -> None:
    for path in ("/needs", "/embeds", "/form"):
        assert outcome(await post(app, path, b"", kind)) == (400, "malformed_json")


@pytest.mark.parametrize("kind", [None, JSON, "text/plain"])
async def test_an_optional_body_may_be_absent(app: FastAPI, kind: str | None) -> None:
    answer = await post(app, "/may", b"", kind)
    assert (answer.status_code, answer.json()) == (200, None)


async def test_an_optional_body_is_read(app: FastAPI) -> None:
    assert (await post(app, "/may", b'{"refresh_token": "zq7canary"}')).json() == "zq7canary"


@pytest.mark.parametrize("kind", [None, JSON, FORM, "text/plain", "junk"])
@pytest.mark.parametrize("body", [b"", b"\xff not JSON"])
async def test_a_route_without_a_body_ignores_one(app: FastAPI, kind: str | None, body: bytes) -> None:
    expected = 415 if kind == "junk" and body else 200
    assert (await post(app, "/nothing", body, kind)).status_code == expected


async def test_a_get_ignores_a_body(app: FastAPI) -> None:
    answer = await send(
        app, "GET", "/items", b"\xff", [("Content-Type", "multipart/form-data"), ("Content-Encoding", "gzip")]
    )
    assert answer.status_code == 200


async def test_after_the_body_an_endpoint_still_hears_the_client_leave(app: FastAPI) -> None:
    async def leaves() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": json.dumps(GOOD).encode(), "more_body": False}
        yield {"type": "http.disconnect"}

    wire = Wire(leaves(), {})
    assert (await wire.ask(app, "/waits"))[0] == 200
    assert wire.answers[1]["body"] == b"true"


@pytest.mark.parametrize("prefix", ["", "/auth"])
async def test_a_mounted_router_stays_strict(prefix: str) -> None:
    app = build(prefix=prefix)
    assert outcome(await post(app, f"{prefix}/needs", b'{"email": 1, "email": 2}')) == (400, "malformed_json")
    assert outcome(await post(app, f"{prefix}/needs", b"{}")) == (422, "invalid_input")
    assert outcome(await post(app, f"{prefix}/needs", b"")) == (400, "malformed_json")


# T30, T49: media types


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "text/json",
        "application/javascript",
        "application/problem+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json, text/plain",
        "text/plain; a=application/json",
    ],
)
@pytest.mark.parametrize("path", ["/needs", "/may", "/embeds"])
async def test_t30_json_under_another_name_is_refused_even_if_the_host_is_lax(
    app: FastAPI, path: str, kind: str | None
) -> None:
    assert outcome(await post(app, path, json.dumps(GOOD).encode(), kind)) == (415, "unsupported_media_type")
    assert app.state.seen == [], "nothing of the route ran"


async def test_t30_two_content_types_are_refused(app: FastAPI) -> None:
    two = ("Content-Type", "text/plain")
    assert outcome(await post(app, "/needs", b"{}", JSON, two)) == (415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "x", ""])
@pytest.mark.parametrize("path", ["/needs", "/may", "/nothing", "/form"])
async def test_t49_a_coded_body_is_refused(app: FastAPI, path: str, coding: str) -> None:
    body = gzip.compress(json.dumps(GOOD).encode())
    assert outcome(await post(app, path, body, JSON, ("Content-Encoding", coding))) == (415, "unsupported_media_type")


async def test_a_body_coded_as_itself_is_taken(app: FastAPI) -> None:
    answer = await post(app, "/needs", json.dumps(GOOD).encode(), JSON, ("Content-Encoding", "Identity"))
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/needs", "/may", "/nothing", "/form"])
async def test_t49_multipart_is_refused_everywhere(app: FastAPI, path: str) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nzq7canary\r\n--x--\r\n'
    kind = "Multipart/Form-Data; boundary=x"
    assert outcome(await post(app, path, body, kind)) == (415, "unsupported_media_type")


# T49: sizes and times


@pytest.mark.parametrize("path", ["/needs", "/may", "/nothing", "/form"])
@pytest.mark.parametrize("kind", [JSON, FORM, "multipart/form-data; boundary=x", "text/plain"])
async def test_t49_one_byte_too_many_is_too_large_whatever_the_type(app: FastAPI, path: str, kind: str) -> None:
    answer = await post(app, path, b" " * (MAX_BODY + 1), kind)
    assert outcome(answer) == (413, "body_too_large")
    assert app.state.seen == []


async def test_t49_a_get_with_a_large_body_is_too_large(app: FastAPI) -> None:
    assert outcome(await send(app, "GET", "/items", b" " * (MAX_BODY + 1))) == (413, "body_too_large")


@pytest.mark.parametrize("length", [b"65537", b"9" * 5000, b"00000065537"])
async def test_t49_an_announced_size_is_refused_before_a_byte_is_read(app: FastAPI, length: bytes) -> None:
    wire = Wire(endless(b" "), {b"content-length": length})
    assert (await wire.ask(app))[:2] == (413, "body_too_large")
    assert wire.taken == 0


async def test_t49_a_body_without_a_length_is_counted_while_it_comes(app: FastAPI) -> None:
    wire = Wire(endless(b" " * 1000), {b"transfer-encoding": b"chunked"})
    status, code, headers = await wire.ask(app)
    assert (status, code) == (413, "body_too_large")
    assert wire.taken == MAX_BODY // 1000 + 1
    assert headers[b"connection"] == b"close", "or the server would read the rest"


async def test_t49_a_lying_length_does_not_help(app: FastAPI) -> None:
    wire = Wire(endless(b" " * 1000), {b"content-length": b"2"})
    assert (await wire.ask(app))[:2] == (413, "body_too_large")


class HastyRoute(StrictRoute):
    body_seconds: ClassVar[float] = 0.1


@pytest.mark.parametrize(("part", "pause"), [(b" ", 0.01), (b"", 0.001), (b" ", 30.0)])
async def test_t49_a_slow_body_is_cut_off_and_its_connection_closed(part: bytes, pause: float) -> None:
    start = time.perf_counter()
    status, code, headers = await Wire(endless(part, pause), {}).ask(build(HastyRoute))
    assert (status, code) == (400, "malformed_json")
    assert headers[b"connection"] == b"close"
    assert 0.1 <= time.perf_counter() - start < 25, "the longest pause is longer"


async def test_t49_a_slow_body_without_pauses_is_cut_off_too() -> None:
    async def never_ready() -> AsyncIterator[Message]:
        while True:
            yield {"type": "http.request", "body": b"", "more_body": True}

    async def ask() -> tuple[int, str | None, dict[bytes, bytes]]:
        return await Wire(never_ready(), {}).ask(build(HastyRoute))

    assert (await asyncio.wait_for(ask(), 60))[0] == 400


@pytest.mark.parametrize("version", ["2", "3"])
async def test_http_2_has_no_connection_header(version: str) -> None:
    slow = await Wire(endless(b" ", 0.01), {}, version).ask(build(HastyRoute))
    large = await Wire(endless(b" " * 1000), {}, version).ask(build())
    assert (slow[0], large[0]) == (400, 413)
    assert b"connection" not in slow[2] | large[2]


async def test_the_deadline_is_ten_seconds_and_does_not_hold_for_the_endpoint() -> None:
    assert StrictRoute.body_seconds == 10.0
    app = build(HastyRoute)

    @app.post("/sleeps")
    async def post_sleeps(body: Credentials) -> str:
        await asyncio.sleep(0.2)
        return "awake"

    app.router.routes[-1] = HastyRoute("/sleeps", post_sleeps, methods=["POST"])
    assert (await post(app, "/sleeps", json.dumps(GOOD).encode())).json() == "awake"


async def test_a_document_whose_end_never_came_is_not_acted_upon(app: FastAPI) -> None:
    async def leaves() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": json.dumps(GOOD).encode(), "more_body": True}
        yield {"type": "http.disconnect"}

    assert (await Wire(leaves(), {}).ask(app))[:2] == (400, "malformed_json")
    assert app.state.seen == []


async def test_t49_a_client_that_leaves_in_the_middle_is_no_error_of_ours(app: FastAPI) -> None:
    async def leaves() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": b'{"email"', "more_body": True}
        yield {"type": "http.disconnect"}

    assert (await Wire(leaves(), {}).ask(app))[:2] == (400, "malformed_json")
    assert app.state.seen == []


# T48, T54: what the documents hold


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"not JSON",
        b"\xef\xbb\xbf{}",
        json.dumps(GOOD).encode("utf-16"),
        b'{"email": "a", "password": "zq7canary", "password": "b"}',
        b'{"email": NaN}',
        b'{"email": 1e999}',
        b"9" * 5000,
        b"[" * 60_000,
        b'{"email":' * 7000,
    ],
)
@pytest.mark.parametrize("path", ["/needs", "/embeds", "/form"])
async def test_t48_what_is_no_strict_json_is_400_before_anything_runs(app: FastAPI, path: str, body: bytes) -> None:
    answer = await post(app, path, body)
    assert outcome(answer) == (400, "malformed_json")
    assert "zq7canary" not in answer.text
    assert path == "/form" or app.state.seen == []


@pytest.mark.parametrize("path", ["/needs", "/may", "/form"])
async def test_t48_nul_and_surrogates_are_422(app: FastAPI, path: str) -> None:
    answer = await post(app, path, rb'{"email": "zq7canary\u0000", "password": "\ud800"}')
    assert outcome(answer) == (422, "invalid_input")
    assert answer.json()["errors"] == [["email", "invalid_characters"], ["password", "invalid_characters"]]
    assert "zq7canary" not in answer.text
    assert app.state.seen == []


@pytest.mark.parametrize(
    ("path", "body", "errors"),
    [
        ("/needs", b"{}", [["email", "missing"], ["password", "missing"]]),
        ("/needs", b"[]", [["body", "wrong_type"]]),
        ("/needs", b'"zq7canary"', [["body", "wrong_type"]]),
        ("/needs", b'{"email": ["zq7canary"], "password": 5}', [["email", "wrong_type"], ["password", "wrong_type"]]),
        ("/needs", b'{"email": "a", "password": "b", "is_superuser": true}', [["is_superuser", "extra_forbidden"]]),
        ("/needs", b'{"email": "a", "password": "b", "__proto__": {}}', [["__proto__", "extra_forbidden"]]),
        ("/needs", b'{"email": "a", "password": "b", "zq7canary word": 1}', [["?", "extra_forbidden"]]),
        ("/needs", b'{"email": "a", "password": "b", "age": true}', [["age", "wrong_type"]]),
        ("/may", b"{}", [["refresh_token", "missing"]]),
        ("/may", b"[]", [["body", "wrong_type"]]),
        ("/embeds", b'{"token": "a"}', [["email", "missing"]]),
        ("/form", b"[]", [["body", "wrong_type"]]),
        ("/form", b"null", [["body", "wrong_type"]]),
    ],
)
async def test_json_of_the_wrong_shape_is_422_by_field(app: FastAPI, path: str, body: bytes, errors: Any) -> None:
    answer = await post(app, path, body)
    assert outcome(answer) == (422, "invalid_input")
    assert answer.json()["errors"] == errors
    assert "zq7canary" not in answer.text


@pytest.mark.parametrize(("path", "body"), [("/needs", b"null"), ("/embeds", b"[]"), ("/embeds", b"null")])
async def test_nothing_at_all_is_422_whatever_fastapi_calls_it(app: FastAPI, path: str, body: bytes) -> None:
    assert outcome(await post(app, path, body)) == (422, "invalid_input")


async def test_t48_ten_thousand_unknown_fields_get_a_short_answer(app: FastAPI) -> None:
    body = json.dumps({f"{n}": 0 for n in range(6000)}).encode()
    assert len(body) < MAX_BODY
    answer = await post(app, "/needs", body)
    assert answer.status_code == 422
    assert len(answer.content) < 4000


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("limit=0", [["limit", "out_of_range"]]),
        ("limit=-1", [["limit", "out_of_range"]]),
        ("limit=201", [["limit", "out_of_range"]]),
        ("limit=1000000000", [["limit", "out_of_range"]]),
        ("limit=9223372036854775808", [["limit", "out_of_range"]]),
        ("limit=" + "9" * 5000, [["limit", "out_of_range"]]),
        ("limit=1e9", [["limit", "wrong_type"]]),
        ("limit=true", [["limit", "wrong_type"]]),
        ("limit=", [["limit", "wrong_type"]]),
        ("limit=%00", [["limit", "invalid_characters"]]),
        ("created_after=yesterday", [["created_after", "not_a_time"]]),
        ("created_after=2026-01-01T00:00:00", [["created_after", "not_a_time"]]),
        ("created_after=10000-01-01T00:00:00Z", [["created_after", "not_a_time"]]),
        ("q=a%00b", [["q", "invalid_characters"]]),
        ("q=a&%00=b", [["body", "invalid_characters"]]),
    ],
)
async def test_t54_t48_edges_in_a_query_are_422(app: FastAPI, query: str, errors: Any) -> None:
    answer = await send(app, "GET", f"/items?{query}")
    assert outcome(answer) == (422, "invalid_input")
    assert answer.json()["errors"] == errors


@pytest.mark.parametrize("item", ["5", "zq7canary", "0192-", "%00", "a%2Fb", "..%2f..%2fitems", "%F0%9F%98%80", "'--"])
async def test_t46_t54_a_fault_in_the_path_is_404(app: FastAPI, item: str) -> None:
    for query in ("", "?limit=x"):
        answer = await send(app, "GET", f"/items/{item}{query}")
        assert answer.status_code == 404
        assert "zq7canary" not in answer.text


# Forms


async def test_a_marked_route_takes_a_form_and_json(app: FastAPI) -> None:
    assert (await post(app, "/form", b"email=ada%40example.com&password=zq7canary-horse", FORM)).json() == GOOD
    assert (await post(app, "/form", json.dumps(GOOD).encode())).json() == GOOD
    assert (await post(app, "/form", b"", FORM)).json() == {}


@pytest.mark.parametrize("kind", [None, "text/plain"])
async def test_t30_a_marked_route_takes_nothing_else(app: FastAPI, kind: str | None) -> None:
    assert outcome(await post(app, "/form", b"email=a&password=b", kind)) == (415, "unsupported_media_type")


@pytest.mark.parametrize("body", [b"a=1&a=2", b"a=%zz", b"a=%ff", b"a&" * 30_000])
async def test_t49_a_broken_form_is_400_before_anything_runs(app: FastAPI, body: bytes) -> None:
    assert outcome(await post(app, "/form", body, FORM)) == (400, "malformed_json")
    assert app.state.seen == []


async def test_fields_that_a_route_checks_itself_are_refused_alike() -> None:
    app = FastAPI()
    app.state.refusals = []
    app.add_exception_handler(AuthError, render)

    @accepts_form
    async def post_login(request: Request) -> str:
        try:
            return Credentials.model_validate(await read_fields(request)).email
        except ValueError as error:
            raise refusal_of(error) from None  # type: ignore[arg-type]

    app.router.routes.append(StrictRoute("/login", post_login, methods=["POST"]))
    assert (await post(app, "/login", json.dumps(GOOD).encode())).json() == "ada@example.com"
    answer = await post(app, "/login", b"email=zq7canary", FORM)
    assert answer.json()["errors"] == [["password", "missing"]]


# Where refusals go


async def test_the_transaction_sees_a_failed_validation_as_a_refusal(app: FastAPI) -> None:
    await post(app, "/needs", b'{"email": "zq7canary"}')
    [seen] = app.state.seen
    assert isinstance(seen, InvalidInput)


async def test_no_refusal_carries_the_body_along(app: FastAPI) -> None:
    for body in (b'{"email": "zq7canary"}', b'{"email": "zq7canary"', b"", b'{"email": "zq7canary\\u0000"}'):
        await post(app, "/needs", body)
    for body in (b"a=zq7canary%zz", b"a=zq7canary&a=1"):
        await post(app, "/form", body, FORM)
    assert len(app.state.refusals) == 6
    for refusal in app.state.refusals:
        assert refusal.__context__ is None
        assert "zq7canary" not in repr(vars(refusal)) + str(refusal)


async def test_refusals_and_http_exceptions_of_an_endpoint_pass_through(app: FastAPI) -> None:
    body = json.dumps(GOOD).encode()
    assert outcome(await post(app, "/taken", body)) == (409, "email_taken")
    assert (await post(app, "/gone", body)).status_code == 410
    assert [type(error) for error in app.state.seen] == [EmailTaken, HTTPException]


async def test_the_hosts_own_routes_stay_the_hosts(app: FastAPI) -> None:
    @app.post("/host")
    async def post_host(body: Credentials) -> None: ...

    answer = await post(app, "/host", b"{}")
    assert answer.status_code == 422
    assert "detail" in answer.json()
    assert "code" not in answer.json()
