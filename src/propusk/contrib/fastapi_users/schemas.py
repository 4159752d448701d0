"""What goes over the wire. Names and fields are those that clients were generated from."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from propusk.errors import InvalidInput
from propusk.users.email_address import normalise_email
from propusk.users.models import User


def _check_address(text: str) -> str:
    """An address that ours is, its domain in lower case; a fault in the form of pydantic's `EmailStr`."""
    try:
        local, _, domain = normalise_email(text).address.partition("@")
    except InvalidInput as refusal:
        reason = refusal.errors[0].message
    else:
        return f"{local}@{domain.lower()}"
    raise PydanticCustomError("value_error", "value is not a valid email address: {reason}", {"reason": reason})


Email = Annotated[str, AfterValidator(_check_address), Field(json_schema_extra={"format": "email"})]


class UserRead(BaseModel):
    """A user."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: Annotated[str, Field(json_schema_extra={"format": "email"})]
    is_active: bool = True
    is_superuser: bool = False
    is_verified: bool = False

    @classmethod
    def of(cls, user: User) -> "UserRead":
        """A user of ours, as they are told."""
        return cls.model_validate(user)


class UserCreate(BaseModel):
    """A new account. The flags are checked and have no effect."""

    email: Email
    password: str
    is_active: bool | None = True
    is_superuser: bool | None = False
    is_verified: bool | None = False


class UserUpdate(BaseModel):
    """Any of these; null is the same as absent. Only a superuser's flags have an effect."""

    password: str | None = None
    email: Email | None = None
    is_active: bool | None = None
    is_superuser: bool | None = None
    is_verified: bool | None = None


class BearerResponse(BaseModel):
    """What a login answers."""

    access_token: str
    token_type: str


class ErrorModel(BaseModel):
    """A refusal: its code, or code and reason."""

    detail: str | dict[str, str]
