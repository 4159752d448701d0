"""What the routes that know passwords take."""

from typing import Annotated

from pydantic import Field
from starlette.requests import Request

from propusk.web import examples
from propusk.web.body import is_form
from propusk.web.faults import validated
from propusk.web.openapi import form_or_json
from propusk.web.route import read_fields
from propusk.web.schemas import (
    Answer,
    Body,
    Email,
    LinkToken,
    Locale,
    Name,
    NewPassword,
    Password,
    Profile,
    Username,
    shown,
)


class RegisterBody(Body):
    """A new account."""

    model_config = shown(
        {
            "email": "ada@example.com",
            "password": examples.PASSWORD,
            "username": "ada",
            "name": "Ada Lovelace",
            "profile": {"team": "engines"},
        }
    )

    email: Email
    password: NewPassword
    username: Username | None = None
    name: Name | None = None
    profile: Profile | None = None


class Pending(Answer):
    """The registration waits for its mail to be confirmed; there is no account before (`private_registration`)."""

    model_config = shown({})


class UserCreation(RegisterBody):
    """A new account for somebody else."""

    model_config = shown({"email": "grace@example.com", "name": "Grace Hopper", "is_verified": True})

    password: NewPassword | None = None  # type: ignore[assignment]
    locale: Locale | None = None
    is_active: bool = True
    is_verified: bool = False
    is_superuser: bool = False


class LoginBody(Body):
    """`login` is the e-mail address or the username."""

    model_config = shown({"login": "ada@example.com", "password": examples.PASSWORD})

    login: Annotated[str, Field(json_schema_extra={"examples": ["ada@example.com"]})]
    password: Password


class LoginForm(Body):
    """The OAuth2 password form (RFC 6749, section 4.3.2), so that the Authorize button of `/docs` works."""

    model_config = shown({"grant_type": "password", "username": "ada@example.com", "password": examples.PASSWORD})

    username: Annotated[str, Field(description="The e-mail address or the username.")]
    password: Password
    grant_type: Annotated[str | None, Field(description="Ignored, as are the others.")] = None
    scope: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class PasswordBody(Body):
    """One's own password, once more."""

    model_config = shown({"password": examples.PASSWORD})

    password: Password


class PasswordChange(Body):
    """The old password and the new one."""

    model_config = shown({"current_password": examples.PASSWORD, "new_password": "staple battery horse correct"})

    current_password: Password
    new_password: NewPassword


class EmailBody(Body):
    """An e-mail address."""

    model_config = shown({"email": "ada@example.com"})

    email: Email


class PasswordReset(Body):
    """The token of a link in a mail, and the new password."""

    model_config = shown({"token": examples.ONE_TIME, "password": "staple battery horse correct"})

    token: LinkToken
    password: NewPassword


LOGIN_REQUEST = form_or_json(LoginBody.model_json_schema(), LoginForm.model_json_schema())


async def read_login(request: Request) -> tuple[str, str]:
    """Login and password, from JSON or from the form.

    Raises:
        MalformedJson, UnsupportedMediaType, InvalidInput
    """
    fields = await read_fields(request)
    if is_form(request.scope):
        form = validated(LoginForm, fields)
        return form.username, form.password
    body = validated(LoginBody, fields)
    return body.login, body.password
