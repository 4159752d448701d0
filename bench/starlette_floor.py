"""A lower floor: an endpoint of Starlette alone that answers with the same bytes each time."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.floor import ADA, FloorUser

BODY = FloorUser.model_construct(**ADA).model_dump_json().encode()


async def get_me(request: Request) -> Response:
    """Nothing but Starlette's own work."""
    return Response(BODY, media_type="application/json")


app = Starlette(routes=[Route("/users/me", get_me)])

if __name__ == "__main__":
    uvicorn.run(
        app, port=int(sys.argv[1]), access_log=False, log_level="warning", proxy_headers=False, server_header=False
    )
