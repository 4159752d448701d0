"""How clients speak to each product: the same questions in its own words."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, cycle

import httpx

from bench.closed import encode
from bench.load import Request

PASSWORD = "correct horse battery staple"
_JSON = {"Content-Type": "application/json"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Speech:
    """Paths and bodies; `EMAIL` and `NAME` in a body are replaced. An empty path: it cannot do that.

    Args:
        me: who am I?
        first: what anybody may ask, for the first answer after a start.
        plain: an endpoint of a host without a caller; `me` is the same with one.
        credentials: the headers of somebody whose login was answered so.
    """

    me: str
    first: str = ""
    plain: str = ""
    register: str = ""
    register_body: str = ""
    login: str = ""
    login_body: str = ""
    login_type: Mapping[str, str] | None = None
    sessions: str = ""
    refresh: str = ""
    credentials: Callable[[httpx.Response], dict[str, str]] = lambda _: {}

    def login_of(self, *emails: str) -> Request:
        """The login of one of these people."""
        return Request("POST", self.login_type, bodies=[self.login_body.replace("EMAIL", email) for email in emails])

    def logins(self, emails: Sequence[str]) -> Iterator[bytes]:
        """Logins of these in turns, for ever."""
        headers = dict(self.login_type or {})
        return cycle([encode(self.login, headers, self.login_body.replace("EMAIL", email)) for email in emails])

    def registrations(self) -> Iterator[bytes]:
        """Of somebody new each time."""
        run = f"{time.time_ns():x}"
        for n in count():
            name = f"new{run}x{n}"
            yield encode(self.register, _JSON, self._registration(name, f"{name}@example.com"))

    def _registration(self, name: str, email: str) -> str:
        return self.register_body.replace("EMAIL", email).replace("NAME", name)

    def register_one(self, client: httpx.Client, name: str) -> str:
        """Register somebody; their e-mail address."""
        client.cookies.clear()
        email = f"{name}@example.com"
        client.post(self.register, content=self._registration(name, email), headers=_JSON).raise_for_status()
        return email

    def log_in(self, client: httpx.Client, email: str) -> httpx.Response:
        """A login that is answered well."""
        client.cookies.clear()
        body = self.login_body.replace("EMAIL", email)
        return client.post(self.login, content=body, headers=self.login_type).raise_for_status()


def bearer(answer: httpx.Response) -> dict[str, str]:
    """The access token in the body."""
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def cookie(answer: httpx.Response) -> dict[str, str]:
    """The cookies, also those that are for TLS alone."""
    pairs = [line.partition(";")[0] for line in answer.headers.get_list("set-cookie")]
    return {"Cookie": "; ".join(pairs)}


_LOGIN_FORM = f"username=EMAIL&password={PASSWORD.replace(' ', '+')}"
_EMAIL_AND_PASSWORD = f'{{"email": "EMAIL", "password": "{PASSWORD}"}}'

FLOOR = Speech(me="/users/me", first="/users/me")
PROPUSK = Speech(
    me="/users/me",
    first="/healthz",
    register="/auth/register",
    register_body=_EMAIL_AND_PASSWORD,
    login="/auth/login",
    login_body=f'{{"login": "EMAIL", "password": "{PASSWORD}"}}',
    login_type=_JSON,
    sessions="/auth/sessions",
    refresh="/auth/refresh",
    credentials=bearer,
)
FASTAPI_USERS = Speech(
    me="/users/me",
    first="/users/me",
    plain="/plain",
    register="/auth/register",
    register_body=_EMAIL_AND_PASSWORD,
    login="/auth/login",
    login_body=_LOGIN_FORM,
    login_type=_FORM,
    credentials=bearer,
)
CRUDAUTH = Speech(
    me="/me",
    first="/me",
    plain="/plain",
    register="/register",
    register_body=f'{{"email": "EMAIL", "username": "NAME", "password": "{PASSWORD}"}}',
    login="/login",
    login_body=_LOGIN_FORM,
    login_type=_FORM,
    sessions="/sessions",
    credentials=cookie,
)
BETTER_AUTH = Speech(
    me="/api/auth/get-session",
    first="/api/auth/get-session",
    register="/api/auth/sign-up/email",
    register_body=f'{{"name": "NAME", "email": "EMAIL", "password": "{PASSWORD}"}}',
    login="/api/auth/sign-in/email",
    login_body=_EMAIL_AND_PASSWORD,
    login_type=_JSON,
    sessions="/api/auth/list-sessions",
    credentials=cookie,
)
