"""What a client of FastAPI Users may ask: good, wrong and odd. `record.py` plays it there, the tests here."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from tests.contrib.player import Step

PASSWORD = "zq7canary old horse"
OTHER_PASSWORD = "zq7canary new mule"
SHORT = "zq7"
UNKNOWN = "0198c5a0-0000-4000-8000-000000000000"
JSON = {"Content-Type": "application/json"}


def ask(name: str, method: str, path: str, **more: Any) -> Step:
    """A request; `token=` names whose, as in `"ada"`."""
    if "token" in more:
        more["token"] = f"{{{more['token']}.token}}"
    return {"name": name, "method": method, "path": path, **more}


def act(act: str, *, keep: str | None = None, **arguments: str) -> Step:
    """Something that comes about without a request."""
    return {"act": act, "as": keep, "arguments": arguments}


def register(email: str, keep: str, password: str = PASSWORD, **more: Any) -> Step:
    body = {"email": email, "password": password, **more}
    return ask(f"{keep} registers", "POST", "/auth/register", json=body, keep={f"{keep}.id": "id"})


def log_in(keep: str, email: str, password: str = PASSWORD) -> Step:
    form = {"username": email, "password": password}
    return ask(f"{keep} logs in", "POST", "/auth/jwt/login", form=form, keep={f"{keep}.token": "access_token"})


def numbered(name: str, method: str, path: str, variants: list[dict[str, Any]], **more: Any) -> Iterator[Step]:
    """The same request with each of the variants."""
    for number, variant in zip(count(1), variants, strict=False):
        yield ask(f"{name} {number}", **{"method": method, "path": path, **more, **variant})


REGISTER: list[Step] = [
    register("ada@example.com", "ada"),
    register("Grace.Hopper@EXAMPLE.org", "grace", is_superuser=True, is_verified=True, is_active=False, nonsense=1),
    *numbered(
        "an address that is taken",
        "POST",
        "/auth/register",
        [{"json": {"email": email, "password": PASSWORD}} for email in ("ada@example.com", "ADA@Example.Com")],
    ),
    ask("a short password", "POST", "/auth/register", json={"email": "bo@example.com", "password": SHORT}),
    ask("a password of one's address", "POST", "/auth/register", json={"email": "b@b.com", "password": "b@b.com!"}),
    *numbered(
        "no address",
        "POST",
        "/auth/register",
        [
            {"json": {"email": email, "password": PASSWORD}}
            for email in ("ada", "ada@", "@example.com", "", "a b@example.com", "ada@example..com", "a@b@example.com")
        ],
    ),
    *numbered(
        "a body that will not do",
        "POST",
        "/auth/register",
        [
            {"json": {}},
            {"json": {"email": "bo@example.com"}},
            {"json": {"password": PASSWORD}},
            {"json": {"email": 5, "password": 5}},
            {"json": {"email": None, "password": None}},
            {"json": {"email": "bo@example.com", "password": PASSWORD, "is_active": "perhaps", "is_superuser": [1]}},
            {"json": []},
            {"json": "text"},
            {"content": "null", "headers": JSON},
            {"content": '{"email": ', "headers": JSON},
            {"content": '{"email": "bo@example.com",}', "headers": JSON},
            {"content": "", "headers": JSON},
            {"content": '{"email": "bo@example.com"}', "headers": {"Content-Type": "text/plain"}},
            {"content": '{"email": "bo@example.com"}', "headers": {"Content-Type": ""}},
            {"form": {"email": "bo@example.com", "password": PASSWORD}},
        ],
    ),
    ask("registering by GET", "GET", "/auth/register"),
    ask("a path that is none", "POST", "/auth/registered", json={}),
]

LOGIN: list[Step] = [
    *numbered(
        "logging in",
        "POST",
        "/auth/jwt/login",
        [
            {"form": {"username": "ada@example.com", "password": PASSWORD}},
            {"form": {"username": "ADA@EXAMPLE.com", "password": PASSWORD}},
            {"form": {"username": "ada@example.com", "password": PASSWORD, "grant_type": "password", "scope": "a b"}},
            {"form": {"username": "ada@example.com", "password": PASSWORD, "client_id": "x", "more": "y"}},
            {"form": {"username": "ada@example.com", "password": PASSWORD, "grant_type": ""}},
            {"files": {"username": "ada@example.com", "password": PASSWORD}},
            {"files": {"grant_type": "password", "username": "grace.hopper@example.org", "password": PASSWORD}},
        ],
        keep={"some.token": "access_token"},
    ),
    *numbered(
        "a login that fails",
        "POST",
        "/auth/jwt/login",
        [
            {"form": {"username": "ada@example.com", "password": OTHER_PASSWORD}},
            {"form": {"username": "nobody@example.com", "password": PASSWORD}},
            {"form": {"username": "ada", "password": PASSWORD}},
            {"files": {"username": "ada@example.com", "password": OTHER_PASSWORD}},
            {"form": {"username": "ada@example.com"}},
            {"form": {"password": PASSWORD}},
            {"form": {"username": "", "password": ""}},
            {"form": {"username": "ada@example.com", "password": PASSWORD, "grant_type": "refresh_token"}},
            {"form": {"grant_type": "code"}},
            {"files": {"username": "ada@example.com"}},
            {"json": {"username": "ada@example.com", "password": PASSWORD}},
            {"content": "", "headers": {}},
            {"content": "username", "headers": {"Content-Type": "multipart/form-data"}},
        ],
    ),
    ask("logging in by GET", "GET", "/auth/jwt/login"),
]

TOKENS: list[Step] = [
    log_in("ada", "ada@example.com"),
    ask("who am I", "GET", "/users/me", token="ada"),
    *numbered(
        "who am I, with a token that is none",
        "GET",
        "/users/me",
        [
            {},
            {"headers": {"Authorization": "Bearer nonsense"}},
            {"headers": {"Authorization": "Bearer "}},
            {"headers": {"Authorization": "Bearer {ada.token}x"}},
            {"headers": {"Authorization": "{ada.token}"}},
            {"headers": {"Authorization": "Basic YTpi"}},
            # Of another secret, and without any signature.
            {"headers": {"Authorization": "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.c2ln"}},
            {"headers": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."}},
        ],
    ),
    ask("who am I, in small letters", "GET", "/users/me", headers={"Authorization": "bearer {ada.token}"}),
    *numbered(
        "logging out without a session",
        "POST",
        "/auth/jwt/logout",
        [{}, {"headers": {"Authorization": "Bearer nonsense"}}],
    ),
    log_in("leaving", "ada@example.com"),
    ask("logging out", "POST", "/auth/jwt/logout", token="leaving"),
    ask("who am I, after logging out", "GET", "/users/me", token="leaving"),
    ask("logging out again", "POST", "/auth/jwt/logout", token="leaving"),
    ask("who am I, in another session", "GET", "/users/me", token="ada"),
]

VERIFY: list[Step] = [
    *numbered(
        "asking for a verification",
        "POST",
        "/auth/request-verify-token",
        [{"json": {"email": email}} for email in ("ada@example.com", "ADA@example.COM", "nobody@example.com")],
    ),
    *numbered(
        "asking for a verification, wrongly",
        "POST",
        "/auth/request-verify-token",
        [{"json": {"email": "ada"}}, {"json": {}}, {"json": []}, {"content": "{", "headers": JSON}],
    ),
    act("mail_token", keep="ada.verify", kind="verify", email="ada@example.com"),
    *numbered(
        "verifying with a token that is none",
        "POST",
        "/auth/verify",
        [
            {"json": {"token": "nonsense"}},
            {"json": {"token": ""}},
            {"json": {"token": "{ada.verify}x"}},
            {"json": {"token": "{ada.token}"}},
            {"json": {"token": "жетон"}},
            {"json": {"token": 5}},
            {"json": {}},
            {"content": "", "headers": JSON},
        ],
    ),
    ask("verifying", "POST", "/auth/verify", json={"token": "{ada.verify}"}),
    ask("verifying again", "POST", "/auth/verify", json={"token": "{ada.verify}"}),
    ask("who am I, verified", "GET", "/users/me", token="ada"),
    ask("asking for a verification, verified", "POST", "/auth/request-verify-token", json={"email": "ada@example.com"}),
]

RESET: list[Step] = [
    register("resetting@example.com", "resetting"),
    log_in("resetting", "resetting@example.com"),
    *numbered(
        "forgetting one's password",
        "POST",
        "/auth/forgot-password",
        [{"json": {"email": email}} for email in ("resetting@example.com", "nobody@example.com")],
    ),
    *numbered(
        "forgetting one's password, wrongly",
        "POST",
        "/auth/forgot-password",
        [{"json": {"email": "resetting"}}, {"json": {}}, {"json": {"email": None}}, {"content": "[", "headers": JSON}],
    ),
    act("mail_token", keep="resetting.reset", kind="reset", email="resetting@example.com"),
    *numbered(
        "resetting with a token that is none",
        "POST",
        "/auth/reset-password",
        [
            {"json": {"token": "nonsense", "password": OTHER_PASSWORD}},
            {"json": {"token": "nonsense", "password": SHORT}},
            {"json": {"token": "{ada.verify}", "password": OTHER_PASSWORD}},
            {"json": {"token": "{resetting.reset}"}},
            {"json": {"password": OTHER_PASSWORD}},
            {"json": {"token": 1, "password": 2}},
            {"json": {}},
        ],
    ),
    ask(
        "resetting to a short password",
        "POST",
        "/auth/reset-password",
        json={"token": "{resetting.reset}", "password": SHORT},
    ),
    ask("a reset token verifies nothing", "POST", "/auth/verify", json={"token": "{resetting.reset}"}),
    *numbered(
        "resetting",
        "POST",
        "/auth/reset-password",
        [{"json": {"token": "{resetting.reset}", "password": OTHER_PASSWORD}}] * 2,
    ),
    ask("who am I, after a reset", "GET", "/users/me", token="resetting"),
    ask(
        "the old password, after a reset",
        "POST",
        "/auth/jwt/login",
        form={"username": "resetting@example.com", "password": PASSWORD},
    ),
    log_in("reset", "resetting@example.com", OTHER_PASSWORD),
    ask("who am I, with the new password", "GET", "/users/me", token="reset"),
]

ME: list[Step] = [
    *numbered(
        "changing nothing of oneself",
        "PATCH",
        "/users/me",
        [
            {"json": {}},
            {"json": {"is_superuser": True, "is_verified": False, "is_active": False}},
            {"json": {"email": "ada@example.com"}},
            {"json": {"password": None}},
            {"json": {"id": UNKNOWN, "hashed_password": "x"}},
        ],
        token="ada",
    ),
    *numbered(
        "changing oneself, wrongly",
        "PATCH",
        "/users/me",
        [
            {"json": {"email": "Grace.Hopper@example.org"}},
            {"json": {"email": "grace.hopper@EXAMPLE.ORG"}},
            {"json": {"email": "ADA@example.com"}},
            {"json": {"email": "ada"}},
            {"json": {"password": SHORT}},
            {"json": {"password": SHORT, "email": "grace.hopper@example.org"}},
            {"json": {"password": 5, "is_active": "perhaps"}},
            {"json": []},
            {"content": "{", "headers": JSON},
            {"content": "", "headers": JSON},
        ],
        token="ada",
    ),
    *numbered(
        "changing oneself, whoever that is",
        "PATCH",
        "/users/me",
        [{"json": {"password": OTHER_PASSWORD}}, {"json": {"email": 5}}, {"content": "{", "headers": JSON}],
    ),
    log_in("ada elsewhere", "ada@example.com"),
    ask("changing one's password", "PATCH", "/users/me", token="ada", json={"password": OTHER_PASSWORD}),
    ask("who am I, with another password", "GET", "/users/me", token="ada"),
    ask("who am I, elsewhere, with another password", "GET", "/users/me", token="ada elsewhere"),
    ask(
        "the old password",
        "POST",
        "/auth/jwt/login",
        form={"username": "ada@example.com", "password": PASSWORD},
    ),
    log_in("ada", "ada@example.com", OTHER_PASSWORD),
    register("moving@example.com", "moving"),
    log_in("moving", "moving@example.com"),
    ask("changing one's address", "PATCH", "/users/me", token="moving", json={"email": "moved@example.com"}),
    ask("who am I, with another address", "GET", "/users/me", token="moving"),
]

USERS: list[Step] = [
    act("superuser", email="root@example.com", password=PASSWORD),
    log_in("root", "root@example.com"),
    *(
        step
        for path in (f"/users/{UNKNOWN}", "/users/{grace.id}", "/users/nonsense")
        for method in ("GET", "PATCH", "DELETE")
        for step in (
            ask(f"{method} {path} without a session", method, path, json={} if method == "PATCH" else None),
            ask(f"{method} {path} as anybody", method, path, token="ada", json={} if method == "PATCH" else None),
        )
    ),
    *numbered(
        "reading a user",
        "GET",
        "",
        [{"path": "/users/{grace.id}"}, {"path": f"/users/{UNKNOWN}"}, {"path": "/users/nonsense"}],
        token="root",
    ),
    ask("reading oneself by id", "GET", "/users/{ada.id}", token="root"),
    *numbered(
        "changing a user",
        "PATCH",
        "/users/{grace.id}",
        [
            {"json": {}},
            {"json": {"is_verified": True}},
            {"json": {"email": "Grace.Hopper@example.org"}},
            {"json": {"email": "grace@example.org"}},
            {"json": {"email": "hopper@example.org", "is_verified": True}},
            {"json": {"is_superuser": True}},
            {"json": {"is_superuser": False, "is_verified": False}},
            {"json": {"password": OTHER_PASSWORD}},
            {"json": {"id": UNKNOWN}},
        ],
        token="root",
    ),
    log_in("grace", "hopper@example.org", OTHER_PASSWORD),
    *numbered(
        "changing a user, wrongly",
        "PATCH",
        "/users/{grace.id}",
        [
            {"json": {"email": "ada@example.com"}},
            {"json": {"email": "HOPPER@example.org"}},
            {"json": {"email": "ada"}},
            {"json": {"password": SHORT}},
            {"json": {"is_active": "perhaps"}},
            {"content": "{", "headers": JSON},
            {"path": f"/users/{UNKNOWN}", "json": {"is_verified": True}},
            {"path": f"/users/{UNKNOWN}", "json": {"is_active": "perhaps"}},
            {"path": f"/users/{UNKNOWN}", "content": "{", "headers": JSON},
            {"path": "/users/nonsense", "json": {"is_verified": True}},
        ],
        token="root",
    ),
    ask("promoting", "PATCH", "/users/{grace.id}", token="root", json={"is_superuser": True}),
    ask("reading a user, promoted", "GET", "/users/{ada.id}", token="grace"),
    ask("demoting", "PATCH", "/users/{grace.id}", token="root", json={"is_superuser": False}),
    ask("reading a user, demoted", "GET", "/users/{ada.id}", token="grace"),
    ask("deactivating", "PATCH", "/users/{grace.id}", token="root", json={"is_active": False}),
    *numbered(
        "what a deactivated user may",
        "GET",
        "",
        [
            {"path": "/users/me"},
            {"path": "/auth/jwt/logout", "method": "POST"},
            {"path": "/users/me", "method": "PATCH", "json": {}},
            {"path": "/users/{grace.id}"},
        ],
        token="grace",
    ),
    *numbered(
        "what a deactivated user may ask for",
        "POST",
        "",
        [
            {"path": "/auth/jwt/login", "form": {"username": "hopper@example.org", "password": OTHER_PASSWORD}},
            {"path": "/auth/jwt/login", "form": {"username": "hopper@example.org", "password": PASSWORD}},
            {"path": "/auth/forgot-password", "json": {"email": "hopper@example.org"}},
            {"path": "/auth/request-verify-token", "json": {"email": "hopper@example.org"}},
            {"path": "/auth/register", "json": {"email": "hopper@example.org", "password": PASSWORD}},
        ],
    ),
    ask("activating", "PATCH", "/users/{grace.id}", token="root", json={"is_active": True}),
    log_in("grace", "hopper@example.org", OTHER_PASSWORD),
    *numbered("deleting", "DELETE", "/users/{grace.id}", [{}, {}], token="root"),
    ask("who am I, deleted", "GET", "/users/me", token="grace"),
    ask(
        "logging in, deleted",
        "POST",
        "/auth/jwt/login",
        form={"username": "hopper@example.org", "password": OTHER_PASSWORD},
    ),
    register("hopper@example.org", "another grace"),
]

USUAL: list[Step] = [*REGISTER, *LOGIN, *TOKENS, *VERIFY, *RESET, *ME, *USERS]
"""Against an app that lets unverified users in."""

VERIFIED: list[Step] = [
    register("ada@example.com", "ada"),
    *numbered(
        "logging in before verifying",
        "POST",
        "/auth/jwt/login",
        [
            {"form": {"username": "ada@example.com", "password": PASSWORD}},
            {"form": {"username": "ada@example.com", "password": OTHER_PASSWORD}},
        ],
    ),
    ask("asking for a verification", "POST", "/auth/request-verify-token", json={"email": "ada@example.com"}),
    act("mail_token", keep="ada.verify", kind="verify", email="ada@example.com"),
    ask("verifying", "POST", "/auth/verify", json={"token": "{ada.verify}"}),
    log_in("ada", "ada@example.com"),
    ask("who am I, verified", "GET", "/users/me", token="ada"),
    act("superuser", email="root@example.com", password=PASSWORD),
    log_in("root", "root@example.com"),
    ask("taking the verification back", "PATCH", "/users/{ada.id}", token="root", json={"is_verified": False}),
    *numbered(
        "what an unverified user may",
        "GET",
        "",
        [
            {"path": "/users/me"},
            {"path": "/users/me", "method": "PATCH", "json": {}},
            {"path": "/users/{ada.id}"},
            {"path": "/auth/jwt/logout", "method": "POST"},
        ],
        token="ada",
    ),
]
"""Against an app that does not."""
