"""Delete a user."""

from uuid import UUID

from propusk.context import Context, all_or_nothing
from propusk.errors import NotFound
from propusk.events import UserDeleted, publish
from propusk.one_time.queries import delete_strangers_tokens
from propusk.users import queries
from propusk.users.change import check_not_last_superuser


async def delete_user(ctx: Context, *, user_id: UUID, actor_id: UUID | None) -> None:
    """Delete a user with their credentials and sessions; the audit trail keeps the bare fact.

    Raises:
        NotFound, LastSuperuser
        UserInUse: a host's own records point at the user and refuse.
    """
    await queries.lock_superusers(ctx)
    user = await queries.find_user(ctx, user_id)
    if user is None:
        raise NotFound
    if user.is_superuser and user.is_active:
        await check_not_last_superuser(ctx, user_id)
    async with all_or_nothing(ctx):  # subscribers hear of it while the user is there, and must not have if one refuses
        await publish(ctx, UserDeleted(user_id=user_id, actor_id=actor_id))
        if not await queries.delete_user(ctx, user_id):
            raise NotFound
    # Registrations that wait for the address hold it and a password, and may be the user's own.
    await delete_strangers_tokens(ctx, user.email_key)
