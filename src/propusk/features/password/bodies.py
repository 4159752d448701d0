"""What the routes that know passwords take."""

from typing import Annotated

from pydantic import Field, ValidationError
from starlette.requests import Request

from propusk.web import examples
from propusk.web.faults import refusal_of
from propusk.web.openapi import form_or_json
from propusk.web.route import read_fields
from propusk.web.schemas import Body, Email, Locale, Name, NewPassword, Password, Profile, Username, shown


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


LOGIN_REQUEST = form_or_json(LoginBody.model_json_schema(), LoginForm.model_json_schema())


async def read_login(request: Request) -> tuple[str, str]:
    """Login and password, from JSON or from the form.

    Raises:
        MalformedJson, UnsupportedMediaType, InvalidInput
    """
    fields = await read_fields(request)
    is_form = request.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded")
    try:
        if is_form:
            form = LoginForm.model_validate(fields)
            return form.username, form.password
        body = LoginBody.model_validate(fields)
    except ValidationError as error:
        refusal = refusal_of(error)
    else:
        return body.login, body.password
    # Outside the except: pydantic's error holds the password and would go along as context.
    raise refusal
