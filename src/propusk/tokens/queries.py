"""SQL about keys, one statement a function."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from propusk.context import Context
from propusk.crypto.keyring import PrivateKey, PublicKey
from propusk.db.dialect import changed, insert_if_absent, read
from propusk.settings import Algorithm


async def publish_key(db: AsyncSession, signing_keys: Table, key: PrivateKey, now: datetime) -> bool:
    """Publish the public half of a key; False when it was published before."""
    row = {"kid": key.kid, "algorithm": str(key.algorithm), "public_jwk": key.public_jwk, "first_seen_at": now}
    return await insert_if_absent(db, signing_keys, row)


async def list_public_keys(db: AsyncSession | AsyncConnection, signing_keys: Table) -> list[PublicKey]:
    """Every published key that is not revoked."""
    k = signing_keys.c
    statement = select(k.kid, k.algorithm, k.public_jwk, k.first_seen_at, k.retired_at).where(k.revoked_at.is_(None))
    rows = await db.execute(statement)
    return [PublicKey(kid, Algorithm(algorithm), jwk, first, retired) for kid, algorithm, jwk, first, retired in rows]


async def list_key_times(ctx: Context) -> list[tuple[str, Algorithm, datetime, datetime | None, datetime | None]]:
    """Id, algorithm, and when it was first seen, retired and revoked, of every key, newest first."""
    k = ctx.tables.signing_keys.c
    statement = select(k.kid, k.algorithm, k.first_seen_at, k.retired_at, k.revoked_at)
    rows = await read(ctx.db, statement.order_by(k.first_seen_at.desc(), k.kid))
    return [(kid, Algorithm(algorithm), first, retired, revoked) for kid, algorithm, first, retired, revoked in rows]


async def retire_keys(db: AsyncSession, signing_keys: Table, kids: Sequence[str], at: datetime) -> None:
    """These keys sign no more from `at` on."""
    k = signing_keys.c
    await changed(db, update(signing_keys).where(k.kid.in_(kids), k.retired_at.is_(None)).values(retired_at=at))


async def keep_keys(db: AsyncSession, signing_keys: Table, kids: Sequence[str]) -> None:
    """These keys are not retired after all."""
    await changed(db, update(signing_keys).where(signing_keys.c.kid.in_(kids)).values(retired_at=None))


async def revoke_key(db: AsyncSession, signing_keys: Table, kid: str, now: datetime) -> bool:
    """Revoke a key; False when there is none of this id, or it was revoked before."""
    k = signing_keys.c
    statement = update(signing_keys).where(k.kid == kid, k.revoked_at.is_(None)).values(revoked_at=now)
    return await changed(db, statement) == 1


async def list_fingerprints(db: AsyncSession, secret_keys: Table) -> set[bytes]:
    """The fingerprints of the secret keys that this database knows."""
    return {bytes(value) for value in (await read(db, select(secret_keys.c.fingerprint))).scalars()}


async def lock_secret_keys(ctx: Context) -> None:
    """Wait for everybody else who enters the first secret key; held until the end of the transaction."""
    locks = ctx.tables.locks
    lock = update(locks).where(locks.c.name == "secret_keys").values(n=locks.c.n + 1)
    if await changed(ctx.db, lock) == 0:
        # The first of all: the insert, too, waits for whoever inserts at this moment.
        await insert_if_absent(ctx.db, locks, {"name": "secret_keys", "n": 0})


async def save_fingerprint(db: AsyncSession, secret_keys: Table, fingerprint: bytes, now: datetime) -> None:
    """Let the database know a secret key."""
    await insert_if_absent(db, secret_keys, {"fingerprint": fingerprint, "first_seen_at": now})
