"""Two things that Starlette's router sees otherwise than the RFCs do."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class StrictRouting:
    """Answers HEAD wherever there is GET (RFC 9110, section 9.1 asks for both), and knows no path with a line end.

    The router's patterns end in `$`, which also matches before a line end: `/auth/login%0A` would be a second address
    of the login, past the rules of a proxy in front of us.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("\n"):
            # `$` matches before the last line end alone, so no pattern matches before two.
            scope = {**scope, "path": scope["path"] + "\n"}
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, send_head)
