"""Mounting: prefix, chosen routes, the host's own errors and cookies, and the document that tells of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Annotated

import httpx
import pytest
from fastapi import Body, Depends, FastAPI, Header, HTTPException
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from propusk import AuthError, Context, CookieNames, CurrentUser, create_auth
from propusk.settings import Settings, SettingsError
from tests.host.stand import ADA, MakeStand, Stand
from tests.kit import CHEAP, PASSWORD

LOGIN = {"login": "ada@example.com", "password": PASSWORD}


def shop() -> FastAPI:
    app = FastAPI()

    @app.get("/orders")
    async def list_orders(user: CurrentUser) -> list[str]:
        return [user.email]

    return app


async def test_a_host_endpoint_knows_who_calls(make_stand: MakeStand) -> None:
    stand = await make_stand(shop())
    bearer = await stand.bearer()

    assert (await stand.client.get("/orders")).status_code == 401
    answer = await stand.client.get("/orders", headers=bearer)
    assert (answer.status_code, answer.json()) == (200, ["ada@example.com"])
    assert (await stand.client.get("/users/me", headers=bearer)).json()["email"] == "ada@example.com"
    assert (await stand.client.post("/auth/logout", headers=bearer)).status_code == 204
    assert (await stand.client.get("/orders", headers=bearer)).status_code == 401


async def test_a_prefix_moves_every_route_the_hot_one_too(make_stand: MakeStand) -> None:
    settings = {"public_url": "http://127.0.0.1:8000/account"}
    stand = await make_stand(shop(), settings=settings, prefix="/account")
    bearer = await stand.bearer("/account")

    assert (await stand.client.get("/account/users/me", headers=bearer)).status_code == 200
    assert (await stand.client.get("/orders", headers=bearer)).status_code == 200
    assert (await stand.client.get("/account/.well-known/jwks.json")).status_code == 200
    for path in ("/users/me", "/auth/sessions", "/.well-known/jwks.json"):
        assert (await stand.client.get(path, headers=bearer)).status_code == 404
    problem = (await stand.client.get("/account/users/me")).json()
    page = await stand.client.get(problem["type"])
    assert (page.status_code, "not_authenticated" in page.text) == (200, True)


@pytest.mark.parametrize("prefix", ["account", "/account/", "/other"])
async def test_a_prefix_that_links_would_miss_is_refused_in_a_sentence(make_stand: MakeStand, prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix: "):
        await make_stand(settings={"public_url": "http://127.0.0.1:8000/account"}, prefix=prefix)


async def test_routes_are_all_some_or_none(make_stand: MakeStand) -> None:
    some = await make_stand(shop(), routes=["/auth/register", "/auth/log*", "/users/me"])
    bearer = await some.bearer()
    none = await make_stand(shop(), routes=())

    assert (await some.client.get("/users/me", headers=bearer)).status_code == 200
    assert (await some.client.post("/auth/refresh", json={"refresh_token": "x"})).status_code == 404
    assert (await some.client.get("/users", headers=bearer)).status_code == 404
    assert (await none.client.get("/orders", headers=bearer)).status_code == 200
    for path in ("/users/me", "/auth/sessions", "/.well-known/jwks.json", "/problems/forbidden"):
        assert (await none.client.get(path, headers=bearer)).status_code == 404
    assert list((await none.client.get("/openapi.json")).json()["paths"]) == ["/orders"]


async def test_metrics_that_are_off_leave_their_path_to_the_host(make_stand: MakeStand) -> None:
    def with_own_metrics(stand: Stand) -> None:
        stand.app.get("/metrics")(lambda: "theirs")

    for routes in (None, ["/metrics", "/auth/*"]):
        stand = await make_stand(routes=routes)
        with_own_metrics(stand)
        assert (await stand.client.get("/metrics")).json() == "theirs"
        assert "/metrics" in (await stand.client.get("/openapi.json")).json()["paths"]
    stand = await make_stand(settings={"metrics": True})
    with_own_metrics(stand)
    assert "propusk_mails" in (await stand.client.get("/metrics")).text


async def test_a_pattern_that_fits_no_route_is_a_mistake(make_stand: MakeStand) -> None:
    with pytest.raises(ValueError, match="there is no route /auth/signin"):
        await make_stand(routes=["/auth/signin"])


async def test_an_app_has_one_installation(make_stand: MakeStand) -> None:
    stand = await make_stand()
    with pytest.raises(RuntimeError, match="installed in this app already"):
        stand.auth.install(stand.app)


async def test_forgetting_install_gives_a_sentence() -> None:
    transport = httpx.ASGITransport(shop())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(RuntimeError, match=r"call auth\.install\(app\)"):
            await client.get("/orders")


async def test_forgetting_the_migrations_gives_a_sentence(tmp_path: object) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path, "password": CHEAP})
    auth = create_auth(settings)
    with pytest.raises(RuntimeError, match=r"auth\.migrate\(\)"):
        await auth.start()
    await auth.migrate()
    await auth.start()
    await auth.close()


def in_host_style(request: Request, refusal: AuthError) -> Response:
    return JSONResponse({"detail": refusal.code.upper()}, refusal.status)


async def test_the_host_renders_refusals_and_the_protocols_headers_stay(make_stand: MakeStand) -> None:
    stand = await make_stand(shop(), errors=in_host_style, settings={"login_floor": 0})
    await stand.bearer()

    for path in ("/orders", "/users/me", "/auth/sessions"):
        answer = await stand.client.get(path)
        assert (answer.status_code, answer.json()) == (401, {"detail": "NOT_AUTHENTICATED"})
        assert answer.headers["www-authenticate"] == "Bearer"
    answer = await stand.client.post("/auth/login", json={"login": 1})
    assert (answer.status_code, answer.json()) == (422, {"detail": "INVALID_INPUT"})


async def test_the_host_names_the_cookies(make_stand: MakeStand) -> None:
    stand = await make_stand(shop(), cookies=CookieNames("shop_access", "shop_refresh"))
    await stand.client.post("/auth/register", json=ADA)

    answer = await stand.client.post("/auth/login?transport=cookie", json=LOGIN)
    assert [line.partition("=")[0] for line in answer.headers.get_list("set-cookie")] == ["shop_access", "shop_refresh"]
    assert (await stand.client.get("/orders")).status_code == 200
    assert (await stand.client.get("/users/me")).status_code == 200
    assert (await stand.client.post("/auth/refresh")).status_code == 200
    assert (await stand.client.post("/auth/refresh", headers={"origin": "https://evil.example"})).status_code == 403
    document = (await stand.client.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["cookie"]["name"] == "shop_access"


@pytest.mark.parametrize(
    ("url", "names", "warns"),
    [
        ("https://shop.example", ("shop_access", "__Host-refresh"), True),
        ("https://shop.example", ("__Host-access", "__Host-refresh"), False),
        ("http://127.0.0.1:8000", ("access", "refresh"), False),
    ],
)
def test_cookies_that_another_host_of_the_domain_can_plant_are_warned_of(
    url: str, names: tuple[str, str], tmp_path: object, caplog: pytest.LogCaptureFixture, *, warns: bool
) -> None:
    create_auth(Settings.model_validate({"data_dir": tmp_path, "public_url": url}), cookies=CookieNames(*names))
    said = [record.getMessage() for record in caplog.records if record.name == "propusk.create"]
    assert [("shop_access" in text, "__Host-" in text) for text in said] == ([(True, True)] if warns else [])


@pytest.mark.parametrize("names", [("a b", "c"), ("a", "a"), ("", "b"), ("a;b", "c")])
def test_cookie_names_are_checked(names: tuple[str, str], tmp_path: object) -> None:
    with pytest.raises(SettingsError, match="cookies: "):
        create_auth(Settings.model_validate({"data_dir": tmp_path}), cookies=CookieNames(*names))


@pytest.mark.parametrize("name", ["__Host-shop", "__host-shop", "__Secure-shop"])
def test_cookies_that_browsers_drop_over_plain_http_are_refused(name: str, tmp_path: object) -> None:
    with pytest.raises(SettingsError, match=f"cookies: browsers drop {name}"):
        create_auth(Settings.model_validate({"data_dir": tmp_path}), cookies=CookieNames("shop", name))
    https = Settings.model_validate({"data_dir": tmp_path, "public_url": "https://shop.example"})
    create_auth(https, cookies=CookieNames("shop", name))


async def test_without_refresh_tokens_a_session_lasts_for_one_access_token(make_stand: MakeStand) -> None:
    stand = await make_stand(shop(), refresh_tokens=False, settings={"access_token_ttl": 3600})
    await stand.client.post("/auth/register", json=ADA)

    tokens = (await stand.client.post("/auth/login", json=LOGIN)).json()
    assert sorted(tokens) == ["access_token", "expires_in", "session_id", "token_type"]
    assert tokens["expires_in"] == 3600
    answer = await stand.client.post("/auth/login?transport=cookie", json=LOGIN)
    assert [line.partition("=")[0] for line in answer.headers.get_list("set-cookie")] == ["propusk_access"]
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    sessions = (await stand.client.get("/auth/sessions", headers=bearer)).json()["items"]
    assert {session["expires_at"] for session in sessions} == {"2026-11-21T10:30:00.123456Z"}
    stand.clock.tick(seconds=3601)
    assert (await stand.client.get("/orders", headers=bearer)).status_code == 401
    schema = (await stand.client.get("/openapi.json")).json()["components"]["schemas"]["Tokens"]
    assert "refresh_token" not in schema["properties"]
    assert "refresh_token" not in schema["required"]


async def test_the_hosts_document_is_whole(make_stand: MakeStand) -> None:
    settings = {"public_url": "http://127.0.0.1:8000/account"}
    stand = await make_stand(shop(), settings=settings, prefix="/account")

    document = (await stand.client.get("/openapi.json")).json()
    assert document["info"]["title"] == "FastAPI"
    flow = document["components"]["securitySchemes"]["login"]["flows"]["password"]
    assert flow["tokenUrl"] == "account/auth/login"
    assert document["paths"]["/orders"]["get"]["security"] == [{"bearer": []}, {"login": []}, {"cookie": []}]
    assert "get" in document["paths"]["/account/users/me"]
    refs = {ref for ref in _refs(document) if ref.startswith("#/components/")}
    assert refs
    for ref in refs:
        _, _, kind, name = ref.split("/")
        assert name in document["components"][kind], ref
    assert (await stand.client.get("/openapi.json")).json() == document


def _refs(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in _refs(value)]
    return [ref for value in node for ref in _refs(value)] if isinstance(node, list) else []


async def test_a_hosts_middleware_handlers_and_lifespan_stay_its_own(make_stand: MakeStand) -> None:
    app = shop()

    class Stamp(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            response = await call_next(request)
            response.headers["x-shop"] = "1"
            return response

    class OutOfStock(Exception):
        pass

    @app.exception_handler(OutOfStock)
    async def on_out_of_stock(_request: Request, _error: Exception) -> Response:
        return JSONResponse({"detail": "sold out"}, 418)

    @app.get("/sold-out")
    async def sold_out(user: CurrentUser) -> None:
        raise OutOfStock

    app.add_middleware(Stamp)
    stand = await make_stand(app)
    bearer = await stand.bearer()

    answer = await stand.client.get("/sold-out", headers=bearer)
    assert (answer.status_code, answer.json(), answer.headers["x-shop"]) == (418, {"detail": "sold out"}, "1")
    answer = await stand.client.get("/nowhere")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    answer = await stand.client.post("/auth/login", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
    assert len(app.user_middleware) == 1


async def test_production_is_refused_what_is_unsafe_in_a_host_as_well(tmp_path: object) -> None:
    unsafe = Settings.model_validate({"data_dir": tmp_path, "environment": "production", "password": CHEAP})
    with pytest.raises(SettingsError) as refused:
        create_auth(unsafe)
    for word in ("public_url", "secret_key", "signing_key_file", "mail_url", "password.memory_kib"):
        assert word in str(refused.value)


async def test_an_app_that_starts_makes_our_tables_if_it_is_told_to_and_runs_our_jobs(tmp_path: object) -> None:
    begun: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, str]]:
        begun.append("theirs")
        yield {"shop": "open"}
        begun.append("theirs ended")

    app = FastAPI(lifespan=lifespan)
    auth = create_auth(Settings.model_validate({"data_dir": tmp_path, "password": CHEAP}))
    ticked = asyncio.Event()

    @auth.every(seconds=1, name="test.tick")
    async def tick(_ctx: Context) -> None:
        ticked.set()

    auth.install(app, migrate=True)
    async with app.router.lifespan_context(app) as state, asyncio.timeout(60):
        assert state == {"shop": "open"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            assert (await client.post("/auth/register", json=ADA)).status_code == 201
        await ticked.wait()
    assert begun == ["theirs", "theirs ended"]


@pytest.mark.parametrize("runs", [False, True])
async def test_a_mail_that_a_mounted_app_never_sends_is_warned_of_once(
    tmp_path: object, caplog: pytest.LogCaptureFixture, *, runs: bool
) -> None:
    """Starlette starts the outer app only."""
    url = "http://127.0.0.1:8000/inner"
    auth = create_auth(Settings.model_validate({"data_dir": tmp_path, "public_url": url, "password": CHEAP}))
    inner = FastAPI()
    auth.install(inner)
    await auth.migrate()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with auth.running() if runs else nullcontext():
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/inner", inner)
    async with outer.router.lifespan_context(outer):
        transport = httpx.ASGITransport(outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            for email in ("ada@example.com", "b@example.com"):
                answer = await client.post("/inner/auth/register", json={"email": email, "password": PASSWORD})
                assert answer.status_code == 201, answer.text
    await auth.close()

    said = [record.getMessage() for record in caplog.records if record.name == "propusk.jobs.worker"]
    assert ["auth.running()" in text for text in said] == ([] if runs else [True])


async def test_what_a_host_asks_of_all_its_routes_is_asked_of_ours(make_stand: MakeStand) -> None:
    asked: list[str] = []

    async def ticket(request: Request) -> None:
        asked.append(request.url.path)
        if "ticket" not in request.headers:
            raise HTTPException(451)

    settings = {"public_url": "http://127.0.0.1:8000/account"}
    stand = await make_stand(FastAPI(dependencies=[Depends(ticket)]), prefix="/account", settings=settings)
    stand.client.headers["ticket"] = "1"
    bearer = await stand.bearer("/account")
    login = {"login": ADA["email"], "password": ADA["password"]}
    tokens = (await stand.client.post("/account/auth/login", json=login)).json()
    me = await stand.client.get("/account/users/me", headers=bearer)
    assert (me.status_code, me.json()["email"], me.headers["cache-control"]) == (200, ADA["email"], "no-store")
    assert (await stand.client.head("/account/users/me", headers=bearer)).status_code == 200
    fresh = await stand.client.post("/account/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert fresh.status_code == 200
    assert "get" in stand.app.openapi()["paths"]["/account/users/me"]

    del stand.client.headers["ticket"]
    asked.clear()
    for method, path in (
        ("POST", "auth/login"),
        ("POST", "auth/refresh"),
        ("GET", "users/me"),
        ("POST", "auth/logout"),
    ):
        assert (await stand.client.request(method, f"/account/{path}", headers=bearer)).status_code == 451, path
    assert asked == ["/account/auth/login", "/account/auth/refresh", "/account/users/me", "/account/auth/logout"]


async def test_what_a_hosts_own_dependency_finds_missing_is_told_by_us_and_echoes_nothing(
    make_stand: MakeStand,
) -> None:
    async def tenant(body: Annotated[dict[str, int], Body()], x_tenant: Annotated[str, Header()]) -> None:
        assert body and x_tenant

    stand = await make_stand(FastAPI(dependencies=[Depends(tenant)]))
    for method, path in (
        ("POST", "/auth/login"),
        ("POST", "/auth/refresh"),
        ("GET", "/users/me"),
        ("POST", "/auth/logout"),
    ):
        answer = await stand.client.request(method, path, json={"login": "ada", "password": PASSWORD})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input"), path
        assert answer.headers["cache-control"] == "no-store"
        assert PASSWORD not in answer.text
