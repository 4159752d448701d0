"""What bad input gets: a clear problem document at once, the same on every database, and nothing changes."""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from propusk.crypto.secrets import b64url
from propusk.web.body import MAX_BODY
from tests.forgeries import unb64
from tests.kit import PASSWORD, House, Person
from tests.raw import Answer, ask

# One worker sees all databases, so that their answers can be compared.
pytestmark = pytest.mark.xdist_group("bad input")

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GOOD: dict[str, Any] = {"email": "grace@example.com", "password": "zq7canary apple tree"}
SEEN: dict[str, bytes] = {}
"""The answer to each request, as the first database gave it."""


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


@asynccontextmanager
async def unchanged(house: House) -> AsyncIterator[None]:
    """Nothing in the database differs afterwards, but for the counters of the limiter."""
    before = await everything(house)
    yield
    assert await everything(house) == before


async def everything(house: House) -> dict[str, list[dict[str, Any]]]:
    names = ("users", "passwords", "sessions", "signing_keys", "secret_keys", "locks", "audit_events")
    return {name: [dict(row) for row in await house.rows(name)] for name in names}


class Visitor:
    """Asks, and checks what every refusal has in common."""

    def __init__(self, house: House, person: Person | None = None) -> None:
        self.house = house
        self.headers = person.bearer if person else {}

    async def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        started = time.thread_time()
        sent = {**self.headers, **(JSON if headers is None else headers)}
        answer = await ask(self.house.app, method, path, headers=sent, body=body)
        assert time.thread_time() - started < 5, (method, path, body[:100])
        assert answer.status in (400, 401, 403, 404, 413, 415, 422), (method, path, body[:100], answer)
        assert answer.code
        assert b"zq7canary" not in answer.body
        # Ids in paths are of this run; the rest of a request is the same on every database.
        where = f"{path.split('?', maxsplit=1)[0].replace('-', '')[:12]} {path[-40:]}"
        key = f"{method} {where} {sent.get('Content-Type')} {body!r}"
        assert answer.body == SEEN.setdefault(key, answer.body)
        return answer

    async def refuse(self, method: str, path: str, body: bytes, expected: str, **options: Any) -> None:
        """The answer's code; for 422 each field and its word as well: `email missing`."""
        answer = await self.send(method, path, body, **options)
        document = answer.json()
        faults = [f"{fault['field']} {fault['code']}" for fault in document.get("errors", [])]
        assert (", ".join(faults) or document["code"]) == expected, (method, path, body[:100], document)


async def visitors(house: House) -> tuple[Visitor, Visitor]:
    """Nobody, and a superuser."""
    return Visitor(house), Visitor(house, await house.superuser())


BODIES = [
    ("POST", "/auth/register"),
    ("POST", "/auth/login"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/logout"),
    ("POST", "/auth/introspect"),
    ("PATCH", "/users/me"),
    ("POST", "/users/me/password"),
    ("DELETE", "/users/me"),
    ("POST", "/users/me/delete"),
    ("POST", "/users"),
    ("PATCH", "/users/01a1fc71-f488-7978-a02d-2dc9e540a48e"),
]
"""Every route that takes a body."""

NOT_JSON = {
    "words": b"hello",
    "half": b'{"email": "zq7canary@example.com"',
    "two": b"{} {}",
    "single quotes": b"{'email': 1}",
    "a comma too many": b'{"email": 1,}',
    "a byte order mark": b"\xef\xbb\xbf" + encode(GOOD),
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "Latin-1": b'{"email": "\xe9"}',
    "a raw surrogate": b'{"email": "\xed\xa0\x80"}',
    "a raw NUL": b'{"email": "\x00"}',
    "a name twice": b'{"email": "a@example.com", "email": "b@example.com"}',
    "a name twice, deep": b'{"profile": {"a": {"b": 1, "\\u0062": 2}}}',
    "NaN": b'{"email": NaN}',
    "Infinity": b'{"profile": {"a": -Infinity}}',
    "5000 digits": b'{"profile": {"a": ' + b"9" * 5000 + b"}}",
    "beyond doubles": b'{"profile": {"a": 1e999}}',
}


async def test_t48_what_is_not_json(house: House) -> None:
    _, root = await visitors(house)
    async with unchanged(house):
        for method, path in BODIES:
            for body in NOT_JSON.values():
                await root.refuse(method, path, body, "malformed_json")


async def test_t48_an_empty_body_where_one_is_needed(house: House) -> None:
    _, root = await visitors(house)
    async with unchanged(house):
        for method, path in BODIES:
            if path not in ("/auth/refresh", "/auth/logout"):
                await root.refuse(method, path, b"", "malformed_json")


async def test_t48_json_too_deep(house: House) -> None:
    deep = [b"[" * 100_00, b'{"profile":' * 33 + b"1" + b"}" * 33, b"[" * 33 + b"]" * 33]
    _, root = await visitors(house)
    async with unchanged(house):
        for method, path in BODIES:
            for body in deep:
                await root.refuse(method, path, body, "malformed_json")


async def test_t48_json_too_large(house: House) -> None:
    _, root = await visitors(house)
    async with unchanged(house):
        for method, path in [*BODIES, ("DELETE", "/auth/sessions"), ("GET", "/users")]:
            await root.refuse(method, path, b" " * (MAX_BODY + 1), "body_too_large")


async def test_t48_json_as_large_as_can_be_is_read(house: House) -> None:
    nobody, _ = await visitors(house)
    body = encode({**GOOD, "profile": {"a": ""}})
    async with unchanged(house):
        full = body[:-3] + b"a" * (MAX_BODY - len(body)) + body[-3:]
        assert len(full) == MAX_BODY
        await nobody.refuse("POST", "/auth/register", full, "profile too_long")


WRONG_TYPES = [
    {},
    {"Content-Type": ""},
    {"Content-Type": "text/plain"},
    {"Content-Type": "text/json"},
    {"Content-Type": "application/jsonx"},
    {"Content-Type": "application/json; charset=latin-1"},
    {"Content-Type": "application/json, text/plain"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": "application/xml"},
    {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    {"Content-Type": "application/json", "Content-Encoding": "identity, br"},
]


async def test_a_wrong_content_type(house: House) -> None:
    _, root = await visitors(house)
    async with unchanged(house):
        for method, path in BODIES:
            for headers in WRONG_TYPES:
                await root.refuse(method, path, encode(GOOD), "unsupported_media_type", headers=headers)
        for path in ("/auth/register", "/users/me/password", "/auth/refresh"):
            await root.refuse("POST", path, b"login=a&password=b", "unsupported_media_type", headers=FORM)


FIELDS: dict[str, tuple[Any, ...]] = {
    "email": (1, True, None, ["a"], {"a": 1}),
    "password": (1, False, ["a"]),
    "username": (1, True, [], {}),
    "name": (1, False, []),
    "profile": (1, "a", [], True),
}


async def test_wrong_types(house: House) -> None:
    nobody, root = await visitors(house)
    async with unchanged(house):
        for field, values in FIELDS.items():
            for value in values:
                body = encode({**GOOD, field: value})
                await nobody.refuse("POST", "/auth/register", body, f"{field} wrong_type")
                await root.refuse("POST", "/users", body, f"{field} wrong_type")
                if field != "password":
                    await root.refuse(*BODIES[-1], encode({field: value}), f"{field} wrong_type")
        for flag in ("is_active", "is_verified", "is_superuser"):
            for value in (1, 0, "true", "yes", None, []):
                await root.refuse(*BODIES[-1], encode({flag: value}), f"{flag} wrong_type")
                await root.refuse("POST", "/users", encode({**GOOD, flag: value}), f"{flag} wrong_type")
        for field in ("login", "password"):
            for value in (1, None, ["a"], {"a": "b"}):
                body = encode({"login": "a", "password": "b", field: value})
                await nobody.refuse("POST", "/auth/login", body, f"{field} wrong_type")
        for path in ("/auth/refresh", "/auth/logout"):
            await nobody.refuse("POST", path, b'{"refresh_token": 1}', "refresh_token wrong_type")


async def test_t48_a_body_that_is_no_object(house: House) -> None:
    _, root = await visitors(house)
    async with unchanged(house):
        for method, path in BODIES:
            for body in (b"[]", b'"a"', b"1", b"true", b"[" * 32 + b"]" * 32):
                # Who may introspect is asked before what.
                expected = "invalid_client" if path == "/auth/introspect" else "body wrong_type"
                await root.refuse(method, path, body, expected)


async def test_missing_fields(house: House) -> None:
    nobody, root = await visitors(house)
    async with unchanged(house):
        await nobody.refuse("POST", "/auth/register", b"{}", "email missing, password missing")
        await nobody.refuse("POST", "/auth/login", b"{}", "login missing, password missing")
        await nobody.refuse("POST", "/auth/login", b"username=a", "password missing", headers=FORM)
        await nobody.refuse("POST", "/auth/introspect", b"{}", "invalid_client")
        await root.refuse("POST", "/users/me/password", b"{}", "current_password missing, new_password missing")
        await root.refuse("DELETE", "/users/me", b"{}", "password missing")
        await root.refuse("POST", "/users/me/delete", b"{}", "password missing")
        await root.refuse("POST", "/users", b"{}", "email missing")


async def test_unknown_fields(house: House) -> None:
    nobody, root = await visitors(house)
    async with unchanged(house):
        for field in ("is_superuser", "is_verified", "id", "created_at", "__proto__", "role"):
            for method, path in BODIES[:4]:
                refused = f"{field} extra_forbidden"
                good = {"login": "a", "password": "b"} if path == "/auth/login" else GOOD
                body = {field: True} if path in ("/auth/refresh", "/auth/logout") else {**good, field: True}
                await nobody.refuse(method, path, encode(body), refused)
            await root.refuse("PATCH", "/users/me", encode({field: True}), f"{field} extra_forbidden")
        for field in ("id", "password", "session_epoch", "email_key", "created_at", "__class__"):
            await root.refuse(*BODIES[-1], encode({field: "a"}), f"{field} extra_forbidden")
        await root.refuse("PATCH", "/users/me", b'{"email": "b@example.com"}', "email extra_forbidden")


async def test_a_name_that_was_sent_comes_back_only_when_it_is_plain(house: House) -> None:
    nobody, _ = await visitors(house)
    async with unchanged(house):
        for name in ("<script>", "a b", "\u202e", "x" * 65, "zq7canary!"):
            await nobody.refuse("POST", "/auth/register", encode({**GOOD, name: 1}), "? extra_forbidden")


UNSTORABLE = ["a\u0000b", "\u0000", "\ud800", "a\udfff", "\udc00\ud800"]


async def test_t48_nul_bytes_and_lone_surrogates(house: House) -> None:
    nobody, root = await visitors(house)
    async with unchanged(house):
        for text in UNSTORABLE:
            for field in ("email", "password", "username", "name"):
                refused = f"{field} invalid_characters"
                await nobody.refuse("POST", "/auth/register", encode({**GOOD, field: text}), refused)
                await root.refuse("POST", "/users", encode({**GOOD, field: text}), refused)
            for profile in ({"a": text}, {"a": {"b": [1, text]}}, {text: 1}):
                where = {"a": "profile.a", text: "profile"}[next(iter(profile))]
                where = "profile.a.b.1" if profile == {"a": {"b": [1, text]}} else where
                await root.refuse("PATCH", "/users/me", encode({"profile": profile}), f"{where} invalid_characters")
            for login in ({"login": text, "password": "b"}, {"login": "a", "password": text}):
                field = next(key for key, value in login.items() if value == text)
                await nobody.refuse("POST", "/auth/login", encode(login), f"{field} invalid_characters")
            body = encode({"refresh_token": text})
            await nobody.refuse("POST", "/auth/refresh", body, "refresh_token invalid_characters")
        form = b"username=a%00&password=b"
        await nobody.refuse("POST", "/auth/login", form, "username invalid_characters", headers=FORM)
        await root.refuse("GET", "/users?q=a%00b", b"", "q invalid_characters")
        await root.refuse("GET", "/users/%00", b"", "not_found")


EMAILS = ["", "a", "a@", "@b.example", "a@b", "a@@b.example", "a b@example.com", "a@exa mple.com", "a..b@example.com"]
EMAILS += [".a@example.com", "a.@example.com", "a@-b.example", "a@b.example.", "a@[127.0.0.1]", "a@127.0.0.1"]
EMAILS += ["ä@example.com", '"a"@example.com', "a@example.com, b@example.com", "<a@example.com>", "a@example.com\n"]
EMAILS += ["a@example.com\r\nBcc: b@example.com", "a@xn--a.example", "a@b．example"]
LONG_EMAILS = ["a" * 65 + "@example.com", "a@" + "b" * 60 + ".example" * 30, "a" * 5000]


async def test_an_email_that_is_no_address(house: House) -> None:
    nobody, root = await visitors(house)
    async with unchanged(house):
        for emails, code in ((EMAILS, "not_an_email"), (LONG_EMAILS, "too_long")):
            for email in emails:
                body = encode({**GOOD, "email": email})
                await nobody.refuse("POST", "/auth/register", body, f"email {code}")
                await root.refuse("POST", "/users", body, f"email {code}")
                await root.refuse("PATCH", f"/users/{await own_id(root)}", encode({"email": email}), f"email {code}")


async def own_id(visitor: Visitor) -> str:
    answer = await ask(visitor.house.app, "GET", "/users/me", headers=visitor.headers)
    return str(answer.json()["id"])


USERNAMES = ["", "ab", "a" * 33, "a b c", "ada!", "адa", "ada\u200d", "аda", "ada@x", "ａｄａ", "ada\n", "ıda", "ſda"]


async def test_a_username_outside_its_alphabet(house: House) -> None:
    nobody, root = await visitors(house)
    async with unchanged(house):
        for username in USERNAMES:
            body = encode({**GOOD, "username": username})
            await nobody.refuse("POST", "/auth/register", body, "username bad_username")
            await root.refuse("POST", "/users", body, "username bad_username")
            await root.refuse("PATCH", "/users/me", encode({"username": username}), "username bad_username")


async def test_a_username_that_differs_from_another_by_case_alone(house: House) -> None:
    nobody, root = await visitors(house)
    await house.register("ada@example.com", username="Ada.L")
    async with unchanged(house):
        for username in ("Ada.L", "ada.l", "ADA.L"):
            body = encode({**GOOD, "username": username})
            for who, path in ((nobody, "/auth/register"), (root, "/users")):
                answer = await ask(house.app, "POST", path, headers={**JSON, **who.headers}, body=body)
                assert (answer.status, answer.code) == (409, "username_taken")
            answer = await ask(
                house.app, "PATCH", "/users/me", headers={**JSON, **root.headers}, body=encode({"username": username})
            )
            assert (answer.status, answer.code) == (409, "username_taken")


PASSWORDS = {
    "too_short": ["", "a", "zq7can!", "e\u0301e\u0301e\u0301e\u0301"],
    "too_long": ["zq7canary " * 26],
    "weak_password": ["password", "Password1!", "12345678", "qwertyuiop", "aaaaaaaaaa", "grace2024", "GRACE@example"],
}


async def test_a_password_that_may_not_be_set(house: House) -> None:
    nobody, root = await visitors(house)
    async with unchanged(house):
        for code, passwords in PASSWORDS.items():
            for password in passwords:
                body = encode({**GOOD, "name": "Grace Hopper", "password": password})
                await nobody.refuse("POST", "/auth/register", body, f"password {code}")
                await root.refuse("POST", "/users", body, f"password {code}")


async def test_a_new_password_that_may_not_be_set(house: House) -> None:
    grace = Visitor(house, await house.register(GOOD["email"], name="Grace Hopper"))
    async with unchanged(house):
        for code, passwords in PASSWORDS.items():
            for password in passwords:
                body = encode({"current_password": PASSWORD, "new_password": password})
                await grace.refuse("POST", "/users/me/password", body, f"new_password {code}")


def bent_tokens(token: str) -> Iterator[str]:
    """Cut, re-signed by another, unsigned, of another type, of another issuer."""
    head, body, signature = token.split(".")
    claims = json.loads(unb64(body))
    for length in (0, 1, len(token) // 2, len(token) - 1):
        yield token[:length]
    yield f"{head}.{body}.{signature[::-1]}"
    for header in ({"alg": "none", "typ": "at+jwt"}, {"alg": "None"}, {**json.loads(unb64(head)), "typ": "JWT"}):
        yield f"{b64url(encode(header))}.{body}."
        yield f"{b64url(encode(header))}.{body}.{signature}"
    for change in ({"iss": "https://evil.example"}, {"aud": "other"}, {"exp": 2**53}, {"sub": claims["sid"]}):
        yield f"{head}.{b64url(encode({**claims, **change}))}.{signature}"


async def test_t18_an_access_token_that_is_bent(house: House) -> None:
    ada = await house.register()
    async with unchanged(house):
        for token in bent_tokens(ada.tokens["access_token"]):
            for method, path in (("GET", "/users/me"), ("GET", "/auth/sessions"), ("POST", "/auth/logout")):
                headers = {"Authorization": f"Bearer {token}"}
                answer = await ask(house.app, method, path, headers=headers)
                assert (answer.status, answer.code) == (401, "invalid_access_token"), token
                assert answer.header("www-authenticate") == 'Bearer error="invalid_token"'
    house.clock.tick(minutes=11)
    assert not await ada.is_in()


async def test_a_refresh_token_that_is_bent(house: House) -> None:
    ada = await house.register()
    token = ada.tokens["refresh_token"]
    bent = ["", "prt1_", token[:-1], token[5:], token + "A", token.upper(), token[::-1], ada.tokens["access_token"]]
    async with unchanged(house):
        for text in bent:
            for path in ("/auth/refresh", "/auth/logout"):
                answer = await ask(house.app, "POST", path, headers=JSON, body=encode({"refresh_token": text}))
                assert (answer.status, answer.code) == (401, "invalid_refresh_token"), text
    house.clock.tick(days=31)
    assert (await ada.refresh()).json()["code"] == "invalid_refresh_token"


IDS = ["1", "nope", "null", "0" * 31, "0" * 33, "{%s}", "%s " * 2, "-1", "9" * 19, "true", "%%F0%%9F%%98%%80"]
SPELLINGS: list[Callable[[str], str]] = [
    str.upper,
    lambda text: text.replace("-", ""),
    lambda text: "{" + text + "}",
    lambda text: f"urn:uuid:{text}",
    lambda text: text + "a",
    lambda text: text[:-1],
    lambda text: quote(text.replace(text[0], "０")),
]


async def test_t54_an_id_that_is_no_uuid_or_nobodys(house: House) -> None:
    _, root = await visitors(house)
    known = await own_id(root)
    strange = [name.replace("%s", known).replace("%%", "%") for name in IDS] + [spell(known) for spell in SPELLINGS]
    nobodys = ["00000000-0000-0000-0000-000000000000", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "f" * 8 + "-ffff" * 3]
    async with unchanged(house):
        for name in [*strange, *nobodys, "f" * 8 + "-ffff" * 3 + "-" + "f" * 12]:
            path = quote(name, safe="%")
            for method, target in (
                ("GET", f"/users/{path}"),
                ("PATCH", f"/users/{path}"),
                ("DELETE", f"/users/{path}"),
                ("GET", f"/users/{path}/sessions"),
                ("DELETE", f"/users/{path}/sessions"),
                ("DELETE", f"/auth/sessions/{path}"),
            ):
                await root.refuse(method, target, b"{}" if method == "PATCH" else b"", "not_found")


LISTS: Sequence[str] = ("/auth/sessions", "/users", "/users/{id}/sessions")


async def test_a_cursor_that_was_tampered_with(house: House) -> None:
    _, root = await visitors(house)
    for _ in range(3):
        await house.log_in("root@example.com")
    paths = [path.format(id=await own_id(root)) for path in LISTS]
    pages = [await ask(house.app, "GET", f"{path}?limit=1", headers=root.headers) for path in paths]
    sessions, users = pages[0].json()["next_cursor"], pages[1].json()["next_cursor"]
    assert (sessions is not None, users) == (True, None)
    flipped = ("A" if sessions[0] != "A" else "B") + sessions[1:]
    async with unchanged(house):
        for cursor in ("", "a", "null", sessions[:-1], sessions + "A", flipped, sessions + "=", sessions[::-1]):
            for path in paths:
                await root.refuse("GET", f"{path}?cursor={cursor}", b"", "cursor bad_cursor")
        await root.refuse("GET", f"/users?cursor={sessions}", b"", "cursor bad_cursor")
        await root.refuse("GET", f"/users?cursor={'A' * 201}", b"", "cursor too_long")


LIMITS = {
    "out_of_range": ["0", "201", "999999999"],
    "wrong_type": ["-1", "1.0", "1e2", "true", "", "a", "0x10", "1_0", "٣", "%201", "9223372036854775808", "null"],
}


async def test_t54_a_limit_out_of_range(house: House) -> None:
    _, root = await visitors(house)
    paths = [path.format(id=await own_id(root)) for path in LISTS]
    async with unchanged(house):
        for code, limits in LIMITS.items():
            for limit in limits:
                for path in paths:
                    await root.refuse("GET", f"{path}?limit={quote(limit, safe='%')}", b"", f"limit {code}")


TIMES = [
    "",
    "now",
    "0",
    "1795253400",
    "2026-11-21",
    "2026-11-21T09:30:00",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
]
TIMES += ["2026-12-31T23:59:60Z", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:00"]
TIMES += [
    "0001-01-01T00:00:00+23:00",
    "2026-11-21T09:30:00+24:00",
    "2026-11-21 09:30:00Z",
    "2026-11-21T09:30:00.1234567Z",
]


async def test_t54_a_time_that_is_none(house: House) -> None:
    _, root = await visitors(house)
    async with unchanged(house):
        for at in TIMES:
            for name in ("created_after", "created_before"):
                await root.refuse("GET", f"/users?{name}={quote(at)}", b"", f"{name} not_a_time")


async def test_t54_times_at_the_edges_are_no_error(house: House) -> None:
    root = await house.superuser()
    for query in (
        "created_after=9999-12-31T23:59:59.999999Z",
        "created_before=0001-01-01T00:00:00Z",
        "created_after=2026-11-21T09:30:00%2B14:00",
        "created_after=2026-11-21t09:30:00.1z",
    ):
        answer = await root.get(f"/users?{query}")
        assert answer.status_code == 200, (query, answer.text)


async def test_t54_a_filter_that_is_no_boolean(house: House) -> None:
    _, root = await visitors(house)
    async with unchanged(house):
        for name in ("is_active", "is_verified", "is_superuser"):
            for value in ("2", "null", "", "maybe", "-1"):
                await root.refuse("GET", f"/users?{name}={value}", b"", f"{name} wrong_type")
        await root.refuse("DELETE", "/auth/sessions?keep_current=perhaps", b"", "keep_current wrong_type")
        await root.refuse("GET", f"/users?q={'a' * 255}", b"", "q too_long")
        await Visitor(house).refuse("POST", "/auth/login?transport=carrier", encode(GOOD), "transport not_a_choice")


FORMS = {
    "a million fields": b"&".join([b"a=1"] * 16_000),
    "as many names": b"&".join(b"a%d=1" % n for n in range(8_000)),
    "a field twice": b"username=a&username=b&password=c",
    "a broken escape": b"username=%zz&password=b",
    "half an escape": b"username=a&password=b%",
    "no UTF-8": b"username=%ff&password=b",
}


async def test_t49_a_form_that_cannot_be_read(house: House) -> None:
    nobody, _ = await visitors(house)
    async with unchanged(house):
        for path in ("/auth/login", "/auth/introspect"):
            for form in FORMS.values():
                await nobody.refuse("POST", path, form, "malformed_json", headers=FORM)
            await nobody.refuse("POST", path, b"a=1&" * 200_000, "body_too_large", headers=FORM)
        semicolons = b"username=a;password=b"
        await nobody.refuse("POST", "/auth/login", semicolons, "password missing", headers=FORM)


async def test_t49_a_body_is_counted_while_it_comes(house: House) -> None:
    """Without a Content-Length, as chunks: no more is taken than the bound, whatever would still come."""
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1024
            yield b" " * 1024

    async with unchanged(house):
        for method, path in BODIES:
            taken = 0
            answer = await ask(house.app, method, path, headers=JSON, body=chunks())
            assert (answer.status, answer.code) == (413, "body_too_large")
            assert answer.header("connection") == "close"
            assert taken == MAX_BODY + 1024


async def test_t49_a_length_that_is_announced_too_large_is_refused_unread(house: House) -> None:
    for length in (str(MAX_BODY + 1), "9" * 30):
        answer = await ask(house.app, "POST", "/auth/login", headers={**JSON, "Content-Length": length}, body=b"{}")
        assert (answer.status, answer.code) == (413, "body_too_large")


async def test_what_was_refused_leaves_a_service_that_works(house: House) -> None:
    nobody, _ = await visitors(house)
    await nobody.refuse("POST", "/auth/register", b"{", "malformed_json")
    grace = await house.register(**GOOD)

    assert await grace.is_in()
