"""What a host writes: must pass strict mypy and pyright as it stands, without a cast and without an ignored line."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Request, Response, WebSocket
from pydantic import BaseModel
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.responses import JSONResponse

from propusk import (
    AuthError,
    Context,
    CookieNames,
    Ctx,
    CurrentPrincipal,
    CurrentSession,
    CurrentUser,
    OptionalUser,
    SameOrigin,
    Settings,
    SuperUser,
    TokenPair,
    User,
    UsersTable,
    VerifiedUser,
    authenticate,
    clear_session_cookies,
    create_auth,
    log_out_by_cookies,
    make_engine,
    must_have,
    profile_of,
    require_recent_login,
    set_session_cookies,
)
from propusk.domain import find_user, list_live_sessions, login_with_password, register_with_password
from propusk.errors import EmailTaken
from propusk.events import LoggedIn, UserRegistered
from propusk.verify import AccessToken, TokenVerifier


class Base(DeclarativeBase):
    pass


class Profile(Base):
    __tablename__ = "profiles"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("propusk_users.id", ondelete="CASCADE"), primary_key=True)
    city: Mapped[str]


class Fields(BaseModel):
    newsletter: bool = False


async def make_profile(ctx: Context, event: UserRegistered) -> None:
    if event.user_id is not None:
        ctx.db.add(Profile(user_id=event.user_id, city="London"))


async def greet(_ctx: Context, event: LoggedIn) -> None:
    print(event.new_device)


def render(_request: Request, refusal: AuthError) -> Response:
    return JSONResponse({"detail": str(refusal)}, refusal.status)


def no_spaces(password: str) -> str | None:
    return "Without spaces, please." if " " in password else None


def roles(user: User) -> dict[str, Any]:
    return {"roles": ["admin"] if user.is_superuser else []}


engine = make_engine("sqlite:///app.db")
auth = create_auth(
    Settings.from_env(),
    engine=engine,
    metadata=Base.metadata,
    on=[(UserRegistered, make_profile), (LoggedIn, greet)],
    user_fields=Fields,
    check_password=no_spaces,
    claims=roles,
    cookies=CookieNames("access", "refresh"),
)
theirs = create_auth(
    must_have(Settings(), private_registration=False),
    users=UsersTable("account", email="email_address"),
    refresh_tokens=False,
)
app = FastAPI()
auth.install(app, prefix="/account", routes=["/auth/*"], errors=render)
verifier = TokenVerifier(issuer="https://login.example.com", audience="orders")


@auth.every(minutes=5)
async def count_users(ctx: Context) -> None:
    print(ctx.now)


@app.get("/orders")
async def list_orders(user: CurrentUser, session: CurrentSession) -> list[str]:
    fields = profile_of(user, Fields)
    return [user.email, str(session.id), str(fields.newsletter)]


@app.get("/hello")
async def hello(user: OptionalUser) -> str:
    return user.email if user else "stranger"


@app.delete("/orders/{order_id}", dependencies=[require_recent_login(minutes=10)])
async def delete_order(order_id: UUID, user: VerifiedUser, admin: SuperUser) -> bool:
    return user.id == admin.id


@app.post("/enter", dependencies=[SameOrigin])
async def enter(ctx: Ctx, request: Request, response: Response, login: str, password: str) -> UUID:
    pair: TokenPair = await login_with_password(ctx, login=login, password=password)
    set_session_cookies(request, response, pair)
    return pair.session.id


@app.post("/leave", dependencies=[SameOrigin])
async def leave(ctx: Ctx, request: Request, response: Response) -> None:
    await log_out_by_cookies(request, ctx)
    clear_session_cookies(request, response)


@app.get("/devices")
async def devices(ctx: Ctx, principal: CurrentPrincipal) -> list[str]:
    return [session.user_agent for session in await list_live_sessions(ctx, principal.user.id, limit=10)]


@app.get("/tokens")
async def tokens(token: Annotated[AccessToken, Depends(verifier.require("orders:read"))]) -> str:
    return token.subject


@app.websocket("/stream")
async def stream(websocket: WebSocket, user: CurrentUser) -> None:
    await websocket.accept()
    await websocket.send_text(user.email)
    await authenticate(websocket)


async def sign_up(session: AsyncSession, email: str) -> User | None:
    ctx = await auth.context(session, client=None)
    try:
        user = await register_with_password(ctx, email=email, password="correct horse battery staple")
    except EmailTaken:
        return None
    await session.commit()
    return await find_user(ctx, user.id)
