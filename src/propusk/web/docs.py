"""`/docs` without any outside address: Swagger UI's files come from a package."""

import json
from html import escape
from importlib.resources import files

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from propusk.errors import NotFound

_TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon-32x32.png": "image/png"}
# Swagger UI sets styles and draws icons from data: URLs; scripts come from us alone.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = "SwaggerUIBundle({options});\n"


def add_docs(app: FastAPI) -> None:
    """Serve Swagger UI at `/docs` for the document at `/openapi.json`."""
    options = {"url": "openapi.json", "dom_id": "#swagger-ui", "deepLinking": True, "persistAuthorization": False}
    page = _PAGE.format(title=escape(app.title))
    start = _START.format(options=json.dumps(options))

    async def get_docs(_request: Request) -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})

    async def get_docs_file(request: Request) -> Response:
        name = request.path_params["name"]
        headers = {"Cache-Control": "public, max-age=86400"}
        if name == "start.js":
            return Response(start, media_type="text/javascript", headers=headers)
        if name not in _TYPES:
            raise NotFound
        content = files("fastapi_swagger").joinpath("resources", name).read_bytes()
        return Response(content, media_type=_TYPES[name], headers=headers)

    app.router.routes.append(Route("/docs", get_docs, methods=["GET"]))
    app.router.routes.append(Route("/docs/{name}", get_docs_file, methods=["GET"]))
