"""Bare work, in a process that does nothing else: `python -m bench.bare cryptography 2` prints hashes per second.

`updates` commits per second on a database. What is no dependency of ours wants the environment of the peers.
"""

import asyncio
import sys
import time
from collections.abc import Callable

PASSWORD = "correct horse battery staple"
PASSES, KIB = 3, 19 * 1024
"""The defaults of our settings, which are not installed where the peers are; `bench.floors` sees to it."""


def argon2_as_ours() -> Callable[[], object]:
    """argon2-cffi with our own parameters."""
    import argon2

    hasher = argon2.PasswordHasher(PASSES, KIB, parallelism=1, hash_len=32, salt_len=16)
    stored = hasher.hash(PASSWORD)
    return lambda: hasher.verify(stored, PASSWORD)


def argon2_of_cryptography() -> Callable[[], object]:
    """cryptography's Argon2 with our own parameters: what ours is made of."""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    kdf = Argon2id(salt=bytes(16), length=32, iterations=PASSES, lanes=1, memory_cost=KIB)
    stored = kdf.derive_phc_encoded(PASSWORD.encode())
    return lambda: Argon2id.verify_phc_encoded(PASSWORD.encode(), stored)


def argon2_of_pwdlib() -> Callable[[], object]:
    """argon2-cffi with its own defaults, which pwdlib takes, which FastAPI Users takes."""
    import argon2

    hasher = argon2.PasswordHasher()
    stored = hasher.hash(PASSWORD)
    return lambda: hasher.verify(stored, PASSWORD)


def bcrypt() -> Callable[[], object]:
    """bcrypt with its own defaults, which crudauth takes."""
    import bcrypt

    stored = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt())
    return lambda: bcrypt.checkpw(PASSWORD.encode(), stored)


KINDS = {
    "argon2-cffi": argon2_as_ours,
    "cryptography": argon2_of_cryptography,
    "pwdlib": argon2_of_pwdlib,
    "bcrypt": bcrypt,
}


def per_second(kind: str, seconds: float) -> float:
    """How often it can be done."""
    work, n = KINDS[kind](), 0
    begun = time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        work()
        n += 1
    return n / (now - begun)


async def updates_per_second(url: str, connections: int, seconds: float) -> float:
    """Commits of one-row updates by asyncpg, each connection with a row of its own."""
    import asyncpg

    async with asyncpg.create_pool(url, min_size=connections, max_size=connections) as pool:
        await pool.execute("CREATE TABLE IF NOT EXISTS bare (id int PRIMARY KEY, n int NOT NULL, seed bytea NOT NULL)")
        await pool.execute("TRUNCATE bare")
        await pool.executemany("INSERT INTO bare VALUES ($1, 0, $2)", [(n, b"s" * 32) for n in range(connections)])
        end = time.perf_counter() + seconds

        async def update(row: int) -> int:
            async with pool.acquire() as connection:
                statement = await connection.prepare("UPDATE bare SET n = n + 1, seed = $2 WHERE id = $1")
                n = 0
                while time.perf_counter() < end:
                    await statement.fetch(row, b"t" * 32)
                    n += 1
                return n

        return sum(await asyncio.gather(*(update(row) for row in range(connections)))) / seconds


if __name__ == "__main__":
    if sys.argv[1] == "updates":
        import uvloop

        print(uvloop.run(updates_per_second(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
    else:
        print(per_second(sys.argv[1], float(sys.argv[2])))
