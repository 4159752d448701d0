"""Users, by themselves and by superusers."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from propusk.contrib.fastapi_users.current import CurrentAdministrator, CurrentPrincipal, current_administrator
from propusk.contrib.fastapi_users.refusals import transaction
from propusk.contrib.fastapi_users.route import Route
from propusk.contrib.fastapi_users.schemas import ErrorModel, UserRead, UserUpdate
from propusk.contrib.fastapi_users.update import parse_id, update_self, update_user
from propusk.domain import delete_user, find_user
from propusk.errors import EmailTaken, InvalidInput, NotFound
from propusk.sessions.confirm import confirm_superuser
from propusk.users.models import User
from propusk.web.answers import no_content

router = APIRouter(route_class=Route)
_REFUSED = {EmailTaken: "UPDATE_USER_EMAIL_ALREADY_EXISTS", InvalidInput: "UPDATE_USER_INVALID_PASSWORD"}
_BAD: dict[int | str, dict[str, Any]] = {400: {"model": ErrorModel}}


@router.get("/me", name="users:current_user")
async def get_me(principal: CurrentPrincipal) -> UserRead:
    """Who am I?"""
    return UserRead.of(principal.user)


@router.patch("/me", name="users:patch_current_user", responses=_BAD)
async def patch_me(request: Request, principal: CurrentPrincipal, body: UserUpdate) -> UserRead:
    """Change your password or your address; the new one gets a link, and until then it is the old one."""
    async with transaction(request, _REFUSED) as ctx:
        return UserRead.of(await update_self(ctx, principal, body))


async def user_of_path(request: Request, id: str) -> User:  # noqa: A002 (the path of its clients names it so)
    """Dependency: the user whom the path names.

    Raises:
        HTTPException: 404, there is none.
    """
    user_id = parse_id(id)
    async with transaction(request) as ctx:
        user = await find_user(ctx, user_id) if user_id is not None else None
        if user is None:
            raise NotFound
    return user


_ADMIN = [Depends(current_administrator)]  # comes first: only a superuser learns who is there
Named = Annotated[User, Depends(user_of_path)]


@router.get("/{id}", name="users:user", dependencies=_ADMIN)
async def get_user(user: Named) -> UserRead:
    """Anybody, for a superuser."""
    return UserRead.of(user)


@router.patch("/{id}", name="users:patch_user", dependencies=_ADMIN, responses=_BAD)
async def patch_user(request: Request, admin: CurrentAdministrator, user: Named, body: UserUpdate) -> UserRead:
    """Change any field of anybody, for a superuser."""
    async with transaction(request, _REFUSED) as ctx:
        return UserRead.of(await update_user(ctx, admin, user, body))


@router.delete("/{id}", name="users:delete_user", status_code=204, response_class=Response, dependencies=_ADMIN)
async def delete_user_by_id(request: Request, admin: CurrentAdministrator, user: Named) -> Response:
    """Delete anybody, for a superuser."""
    async with transaction(request) as ctx:
        await confirm_superuser(ctx, admin)
        await delete_user(ctx, user_id=user.id, actor_id=admin.user.id)
    return no_content()
