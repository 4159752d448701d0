"""The OAuth2 password form (RFC 6749, section 4.3.2) for login routes of a host: url-encoded, or multipart as browsers
send it.

Read here, since FastAPI reads forms by a library that nothing else of ours needs.
"""

import re
from typing import Annotated, Any

from fastapi import Depends, HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request

from propusk.web.body import FORM, MAX_FORM_FIELDS, as_fields, parse_form
from propusk.web.route import buffered

MULTIPART = "multipart/form-data"
_PARAMETER = re.compile(r';[ \t]*([^\s;="]+)=("[^"]*"|[^\s;"]*)')


class PasswordForm(BaseModel):
    """`username` holds the e-mail address or the username; the last three are ignored."""

    grant_type: Annotated[str | None, Field(pattern="^password$")] = None
    username: str
    password: str
    scope: str = ""
    client_id: str | None = None
    client_secret: str | None = None


async def read_login_form(request: Request) -> PasswordForm:
    """Dependency: the form. A field left empty is a field left out, as FastAPI has it.

    Raises:
        RequestValidationError: as FastAPI says of its `OAuth2PasswordRequestForm`.
        MalformedJson, InvalidInput, HTTPException: the body is no such form.
        BodyTooLarge
    """
    fields = {name: value for name, value in (await _read_fields(request)).items() if value != ""}
    try:
        return PasswordForm.model_validate(fields)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    raise RequestValidationError([_as_fastapi(fault) for fault in faults])


LoginForm = Annotated[PasswordForm, Depends(read_login_form)]
_SCHEMA = PasswordForm.model_json_schema()
REQUEST_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {kind: {"schema": _SCHEMA} for kind in (FORM, MULTIPART)}}
}
"""`openapi_extra` of a route that takes it; where `create_auth(login_form=…)` names the route, the document has it."""


def _as_fastapi(fault: Any) -> dict[str, Any]:
    named = {**fault, "loc": ("body", *fault["loc"])}
    return {**named, "input": None} if fault["type"] == "missing" else named


async def _read_fields(request: Request) -> dict[str, str]:
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == FORM:
            return parse_form(await _read(request))
        return parse_multipart(content_type, await _read(request)) if kind == MULTIPART else {}
    except ValueError:
        named = kind != MULTIPART or "boundary=" in content_type
    raise HTTPException(400, "There was an error parsing the body" if named else "Missing boundary in multipart.")


async def _read(request: Request) -> bytes:
    """The body, bounded on a route of any class; others may read it after us, and FastAPI may have done so before."""
    if not hasattr(request, "_body"):
        request._body = await (await buffered(request)).body()
    return request._body


def parse_multipart(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form as browsers send it (RFC 7578). Files are left out.

    Raises:
        ValueError: no such form, too many fields, or not UTF-8.
        MalformedJson, InvalidInput: see `as_fields`.
    """
    boundary = _parameters(content_type).get("boundary", "").encode("ascii")
    # A line of its own each (RFC 2046, section 5.1.1): a longer one that begins so is part of a value.
    delimiter = rb"\r\n--" + re.escape(boundary)
    inside, *end = re.split(delimiter + rb"--[ \t]*(?:\r\n|\Z)", b"\r\n" + body, maxsplit=1)
    _, *parts = re.split(delimiter + rb"[ \t]*(?=\r\n)", inside)
    if not boundary or not end or len(parts) > MAX_FORM_FIELDS:
        raise ValueError("not a multipart form, or of too many parts")
    fields: list[tuple[str, str]] = []
    for part in parts:
        head, _, value = part.partition(b"\r\n\r\n")
        name = _name(head.decode())
        if name is not None:
            fields.append((name, value.decode()))
    return as_fields(fields)


def _name(head: str) -> str | None:
    """The name of a part, as its Content-Disposition says; None for a file."""
    for line in head.split("\r\n"):
        label, _, value = line.partition(":")
        if label.lower() == "content-disposition":
            found = _parameters(value)
            return found.get("name") if not found.keys() & {"filename", "filename*"} else None
    return None


def _parameters(value: str) -> dict[str, str]:
    """The parameters of a header, each in quotes or without."""
    return {name.lower(): text.strip('"') for name, text in _PARAMETER.findall(value)}
