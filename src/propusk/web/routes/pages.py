"""The few pages of the service so far: what this is, and what a problem code means."""

from html import escape

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from propusk import errors
from propusk.errors import AuthError, NotFound
from propusk.web.problems import InternalError

router = APIRouter(include_in_schema=False)
problems = APIRouter(include_in_schema=False)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
_HOME = """<p>Authentication and user management: accounts, sessions and tokens for the apps that trust this server.</p>
<ul>
<li><a href="docs">The API, to try out</a></li>
<li><a href="openapi.json">The same as an OpenAPI document</a></li>
<li><a href=".well-known/jwks.json">The public keys of our access tokens</a></li>
</ul>"""


def plain_page(title: str, body: str) -> str:
    """A page without any looks. Both are HTML: what is text must be escaped before."""
    return _PAGE.format(title=title, body=body)


def refusal_classes() -> dict[str, type[AuthError]]:
    """Every refusal by its code."""
    found: dict[str, type[AuthError]] = {InternalError.code: InternalError}
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, AuthError) and hasattr(value, "code"):
            found[value.code] = value
    return dict(sorted(found.items()))


@router.get("/")
async def get_home() -> Response:
    """What this is."""
    return HTMLResponse(plain_page("Propusk", _HOME))


@problems.get("/problems/{code}")
async def get_problem(code: str) -> Response:
    """What a problem document's `type` points at."""
    refusal = refusal_classes().get(code)
    if refusal is None:
        raise NotFound
    body = f"<p>{refusal.status} <code>{escape(code)}</code></p>\n<p>{escape(refusal.detail)}</p>"
    return HTMLResponse(plain_page(escape(refusal.title), body))
