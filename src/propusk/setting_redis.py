"""The setting that names a Redis: one server, one that sentinels look after, or a cluster."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from pydantic import AfterValidator, SecretStr

Form = Literal["one", "sentinel", "cluster"]
_FORMS: dict[str, Form] = {"": "one", "sentinel": "sentinel", "cluster": "cluster"}
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})))(?::([0-9]{1,5}))?")
_PATHS: dict[Form, re.Pattern[str]] = {
    "one": re.compile(r"/?()([0-9]{1,4})?"),
    "sentinel": re.compile(r"/([A-Za-z0-9._-]{1,200})(?:/([0-9]{1,4})?)?"),
    "cluster": re.compile(r"/?()(0)?"),
}
_MASK = "********"
_FORMS_IN_WORDS = (
    "write redis://user:password@host:6379/0, redis+sentinel://host:26379,host2:26379/service/0 or"
    " redis+cluster://host:6379,host2:6379; rediss for TLS; other characters than letters, digits, - . _ ~ in user and"
    " password as %40 and the like"
)


@dataclass(frozen=True)
class Credentials:
    """Who logs in; without a name it is Redis' default user."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class RedisServer:
    """Where a Redis is found.

    `hosts` are the server itself, its sentinels or some nodes of the cluster; `service` is what sentinels call it.
    """

    form: Form
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    credentials: Credentials = Credentials()
    service: str = ""
    db: int = 0
    sentinels: Credentials = Credentials()

    def masked(self) -> str:
        """The URL it was read from, in full but for passwords."""
        scheme = ("rediss" if self.tls else "redis") + ("" if self.form == "one" else f"+{self.form}")
        given = self.credentials
        user = f"{quote(given.username or '', safe='')}:{_MASK}@" if given.password is not None else ""
        path = {"one": f"/{self.db}", "sentinel": f"/{self.service}/{self.db}", "cluster": ""}[self.form]
        return f"{scheme}://{user}{self.where()}{path}{self._masked_options()}"

    def where(self) -> str:
        """Hosts and ports."""
        return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)

    def _masked_options(self) -> str:
        if self.sentinels.password is None:
            return ""
        name = self.sentinels.username
        user = f"sentinel_username={quote(name, safe='')}&" if name is not None else ""
        return f"?{user}sentinel_password={_MASK}"


def parse_redis_url(text: str) -> RedisServer:
    """The Redis that a URL names.

    Raises:
        ValueError: says what is wrong, without any part of the URL.
    """
    try:
        parts = urlsplit(text)
    except ValueError:  # its text may have the password in it
        raise ValueError(_FORMS_IN_WORDS) from None
    scheme, _, form_name = parts.scheme.partition("+")
    form = _FORMS.get(form_name)
    if scheme not in ("redis", "rediss") or form is None or parts.scheme.endswith("+") or parts.fragment:
        raise ValueError(_FORMS_IN_WORDS)
    user, _, hosts = parts.netloc.rpartition("@")
    path = _PATHS[form].fullmatch(parts.path)
    if path is None:
        raise ValueError(_PATH_IN_WORDS[form])
    return RedisServer(
        form=form,
        tls=scheme == "rediss",
        hosts=_hosts(hosts, form),
        credentials=_credentials(*user.partition(":")[::2]),
        service=path[1],
        db=int(path[2] or 0),
        sentinels=_options(parts, form),
    )


_PATH_IN_WORDS: dict[Form, str] = {
    "one": "after the host only the number of the database may stand: /0",
    "sentinel": "after the sentinels stands what they call the service, and maybe the number of the database: /main/0",
    "cluster": "after the nodes nothing may stand: a cluster has one database",
}


def _hosts(text: str, form: Form) -> tuple[tuple[str, int], ...]:
    matches = [_HOST.fullmatch(part) for part in text.split(",")]
    if form == "one" and len(matches) > 1:
        raise ValueError("several hosts are redis+sentinel:// or redis+cluster://")
    default = 26379 if form == "sentinel" else 6379
    hosts = [(m[1] or m[2], int(m[3] or default)) for m in matches if m is not None]
    if len(hosts) < len(matches):
        raise ValueError(_FORMS_IN_WORDS)
    if any(not 0 < port < 65536 for _, port in hosts):
        raise ValueError("the port is a number from 1 to 65535")
    return tuple(hosts)


def _credentials(username: str, password: str) -> Credentials:
    if not username and not password:
        return Credentials()
    if not password:
        raise ValueError("with a user goes a password")
    try:
        username, password = (unquote(part, errors="strict") for part in (username, password))
    except UnicodeDecodeError:
        raise ValueError(_FORMS_IN_WORDS) from None
    if not (username + password).isprintable():
        raise ValueError("user and password must be printable")
    return Credentials(username or None, password)


def _options(parts: SplitResult, form: Form) -> Credentials:
    given = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=10)
    options = dict(given)
    if not given and not parts.query:
        return Credentials()
    if form != "sentinel" or len(options) < len(given) or not options.keys() <= {"sentinel_username", _PASSWORD}:
        raise ValueError("after the ? only sentinel_username and sentinel_password may stand, with redis+sentinel://")
    if not options.get(_PASSWORD):
        raise ValueError("with a user goes a password")
    return Credentials(options.get("sentinel_username") or None, options[_PASSWORD])


_PASSWORD = "sentinel_password"


def _check(value: SecretStr) -> SecretStr:
    parse_redis_url(value.get_secret_value())
    return value


RedisUrl = Annotated[SecretStr, AfterValidator(_check)]
