"""What the application around us bends. Data and plain functions; nothing here is asked for in the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel

from propusk.settings import Settings, SettingsError

if TYPE_CHECKING:
    from propusk.users.models import User

Rule = Callable[[str], "str | None"]
"""Looks at a text and says in a sentence why it will not do; None when it will."""
Which = Literal["access", "refresh"]
Fields = TypeVar("Fields", bound=BaseModel)


@dataclass(frozen=True)
class CookieNames:
    """The names of the two cookies that hold a browser's tokens.

    Over https begin them with `__Host-`: no other host of the domain can set such a cookie (the draft RFC 6265bis).
    Over http browsers drop these.
    """

    access: str
    refresh: str


@dataclass(frozen=True)
class Cookies:
    """The cookies' names, and whether they are Secure."""

    access: str
    refresh: str
    secure: bool

    @classmethod
    def named(cls, names: CookieNames | None, *, https: bool) -> Cookies:
        """The host's names, or ours by the scheme of `public_url`: browsers take the prefix `__Host-` over TLS only.

        Args:
            https: whether browsers reach us over TLS.
        """
        prefix = "__Host-" if https else ""
        names = names or CookieNames(f"{prefix}propusk_access", f"{prefix}propusk_refresh")
        return cls(names.access, names.refresh, https)

    def of(self, which: Which) -> str:
        """The name of one of the two."""
        return self.access if which == "access" else self.refresh


@dataclass(frozen=True)
class Host:
    """The host's own choices, each beside ours rather than instead of it.

    Args:
        user_fields: what `User.profile` holds; checked whenever it is written.
        check_password, check_username: rules beyond ours.
        claims: more claims for access tokens.
        refresh_tokens: without them a session lasts for one `access_token_ttl`.
        cookies: other names for the cookies.
        login_form: the path of the host's own route that takes the OAuth2 password form.
    """

    user_fields: type[BaseModel] | None = None
    check_password: Rule | None = None
    check_username: Rule | None = None
    claims: Callable[[User], Mapping[str, Any]] | None = None
    refresh_tokens: bool = True
    cookies: CookieNames | None = None
    login_form: str | None = None


def profile_of(user: User, fields: type[Fields]) -> Fields:
    """The profile of a user as the model that `create_auth(user_fields=…)` was given.

    Raises:
        ValidationError: it was stored when the model asked for less; give new fields a default.
    """
    return fields.model_validate(user.profile)


def must_have(settings: Settings, **values: Any) -> Settings:
    """The same settings, if they have these values: for an app whose own routes could not keep what others promise.

        create_auth(must_have(Settings.from_env(), private_registration=False))

    Raises:
        SettingsError: one has another value; the text names each.
    """
    faults = [
        f"{name}: this app works with {value!r} only: its own routes cannot keep what another promises"
        for name, value in values.items()
        if getattr(settings, name) != value
    ]
    if faults:
        raise SettingsError("\n".join(faults))
    return settings
