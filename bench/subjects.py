"""Who is measured: products, each on its databases."""

from dataclasses import dataclass

from bench import products
from bench.products import Product
from tests.backends import is_reachable


@dataclass(frozen=True)
class Subject:
    """A product on a database. The key is its name in the results' file and in names of databases."""

    key: str
    title: str
    product: Product
    database: str = ""
    redis: bool = False

    def can_run(self) -> bool:
        """Whether it and what it needs are here."""
        return self.product.is_here() and (not self.database or is_reachable(self.database))


def _ours(title: str, product: Product, key: str) -> tuple[Subject, ...]:
    return (
        Subject(f"{key}_sqlite", f"{title}, SQLite", product, "sqlite"),
        Subject(f"{key}_postgresql", f"{title}, PostgreSQL", product, "postgresql"),
        Subject(f"{key}_redis", f"{title}, PostgreSQL with Redis", product, "postgresql", redis=True),
        Subject(f"{key}_mariadb", f"{title}, MariaDB", product, "mariadb"),
    )


FASTAPI = Subject("fastapi", "empty FastAPI endpoint with a response model", products.FASTAPI)
STARLETTE = Subject("starlette", "empty Starlette endpoint", products.STARLETTE)
OURS = SQLITE, POSTGRESQL, REDIS, MARIADB = _ours("Propusk", products.PROPUSK, "propusk")
HOSTS = _ours("Propusk in a host", products.HOST, "host")
FASTAPI_USERS = Subject(
    "fu_database", "FastAPI Users, PostgreSQL, database strategy", products.fastapi_users("database"), "postgresql"
)
FASTAPI_USERS_ALL = (
    Subject("fu_jwt", "FastAPI Users, PostgreSQL, JWT strategy", products.fastapi_users("jwt"), "postgresql"),
    Subject("fu_sqlite", "FastAPI Users, SQLite, database strategy", products.fastapi_users("database"), "sqlite"),
    FASTAPI_USERS,
    Subject(
        "fu_redis", "FastAPI Users, PostgreSQL, Redis strategy", products.fastapi_users("redis"), "postgresql", True
    ),
)
CRUDAUTH = Subject("crudauth", "crudauth, PostgreSQL, sessions in Redis", products.CRUDAUTH, "postgresql", redis=True)
BETTER_AUTH = Subject("better_auth", "Better Auth, PostgreSQL", products.BETTER_AUTH, "postgresql")
PEERS = (FASTAPI_USERS, CRUDAUTH, BETTER_AUTH)
