"""Users tables of others, with people in them: one that FastAPI Users made, one with an integer key and other names."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import argon2
import bcrypt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from propusk import UsersTable

PASSWORD = "zq7canary as it was before"
ADA = UUID("5f3e9f0a-6c1b-4a55-9d5e-0c7f1f5a3b21")
GRACE = UUID("0b1d3c77-1c42-4f0e-8a7e-4a8d0f7c9e10")

FASTAPI_USERS = UsersTable(
    "user",
    email="email",
    is_active="is_active",
    is_verified="is_verified",
    is_superuser="is_superuser",
    values={"id": lambda user: str(user.id), "hashed_password": ""},
)
ACCOUNTS = UsersTable(
    "account",
    email="email_address",
    username="login",
    name="full_name",
    is_active="enabled",
    created_at="joined",
    values={"pw": None, "plan": "free", "label": lambda user: f"new: {user.username}"},
)
MEMBERS = UsersTable("member", id="uid", email="mail", values={"secret": ""})


@dataclass(frozen=True)
class HostTables:
    """What a host has: the statements that make its tables, those that fill them, and where its passwords are."""

    users: UsersTable
    source: str
    passwords: str
    ddl: list[str]
    rows: list[tuple[str, list[dict[str, Any]]]]

    async def make(self, engine: AsyncEngine) -> None:
        """Make and fill them."""
        async with engine.begin() as connection:
            for statement in self.ddl:
                await connection.execute(text(statement))
            for statement, rows in self.rows:
                await connection.execute(text(statement), rows)


def _argon2() -> str:
    return argon2.PasswordHasher(1, 8, 1).hash(PASSWORD)


def _bcrypt() -> str:
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


def fastapi_users(dialect: str) -> HostTables:
    """The statements that SQLAlchemy sends for `class User(SQLAlchemyBaseUserTableUUID, Base)` of FastAPI Users 15."""
    guid = "UUID" if dialect == "postgresql" else "CHAR(36)"
    table = '"user"' if dialect == "postgresql" else "`user`"
    end = " ENGINE=InnoDB CHARSET=utf8mb4" if dialect == "mysql" else ""
    people = [(ADA, "Ada@Example.com", _argon2(), False), (GRACE, "grace@example.com", _bcrypt(), True)]
    wrap = (lambda value: value) if dialect == "postgresql" else str
    return HostTables(
        users=FASTAPI_USERS,
        source="tests.contract.host_tables.FASTAPI_USERS",
        passwords="hashed_password",
        ddl=[
            f"CREATE TABLE {table} (id {guid} NOT NULL, email VARCHAR(320) NOT NULL,"
            " hashed_password VARCHAR(1024) NOT NULL, is_active BOOLEAN NOT NULL, is_superuser BOOLEAN NOT NULL,"
            f" is_verified BOOLEAN NOT NULL, PRIMARY KEY (id)){end}",
            f"CREATE UNIQUE INDEX ix_user_email ON {table} (email)",
        ],
        rows=[
            (
                f"INSERT INTO {table} VALUES (:id, :email, :hash, true, :root, true)",
                [{"id": wrap(id_), "email": email, "hash": hash_, "root": root} for id_, email, hash_, root in people],
            )
        ],
    )


def accounts(dialect: str) -> HostTables:
    """An integer key, other names, a table that points at it, and columns that Propusk knows nothing of."""
    key = {"postgresql": "SERIAL PRIMARY KEY", "mysql": "INTEGER PRIMARY KEY AUTO_INCREMENT"}.get(
        dialect, "INTEGER NOT NULL PRIMARY KEY"
    )
    time = {"postgresql": "TIMESTAMP WITH TIME ZONE", "mysql": "DATETIME(6)"}.get(dialect, "DATETIME")
    end = " ENGINE=InnoDB CHARSET=utf8mb4" if dialect == "mysql" else ""
    joined: Any = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
    if dialect != "postgresql":
        joined = "2020-02-03 04:05:06.000000"
    people = [("Ada@Example.com", "Ada", _argon2()), ("grace@example.com", None, _bcrypt())]
    return HostTables(
        users=ACCOUNTS,
        source="tests.contract.host_tables.ACCOUNTS",
        passwords="pw",
        ddl=[
            f"CREATE TABLE account (auth_id {key}, email_address VARCHAR(254) NOT NULL, login VARCHAR(40),"
            f" full_name VARCHAR(200), enabled BOOLEAN NOT NULL, joined {time} NOT NULL, pw VARCHAR(200),"
            f" plan VARCHAR(10) NOT NULL, label VARCHAR(60) NOT NULL, CONSTRAINT one UNIQUE (email_address)){end}",
            f"CREATE TABLE invoice (id {key}, account_id INTEGER NOT NULL,"
            f" FOREIGN KEY (account_id) REFERENCES account (auth_id) ON DELETE CASCADE){end}",
        ],
        rows=[
            (
                "INSERT INTO account (email_address, login, full_name, enabled, joined, pw, plan, label)"
                " VALUES (:email, :login, 'Somebody', true, :joined, :hash, 'pro', 'old')",
                [{"email": email, "login": login, "hash": hash_, "joined": joined} for email, login, hash_ in people],
            ),
            ("INSERT INTO invoice (account_id) SELECT auth_id FROM account", [{}]),
        ],
    )


def members(dialect: str) -> HostTables:
    """A primary key of UUIDs that are stored as ours are: no column stands beside it."""
    kind = {"postgresql": "UUID", "mysql": "BINARY(16)"}.get(dialect, "BLOB")
    end = " ENGINE=InnoDB CHARSET=utf8mb4" if dialect == "mysql" else ""
    people = [(ADA, "Ada@Example.com", _argon2()), (GRACE, "grace@example.com", _bcrypt())]
    return HostTables(
        users=MEMBERS,
        source="tests.contract.host_tables.MEMBERS",
        passwords="secret",
        ddl=[
            f"CREATE TABLE member (uid {kind} NOT NULL PRIMARY KEY, mail VARCHAR(320) NOT NULL,"
            f" secret VARCHAR(1024) NOT NULL){end}"
        ],
        rows=[
            (
                "INSERT INTO member VALUES (:id, :mail, :hash)",
                [
                    {"id": id_ if kind == "UUID" else id_.bytes, "mail": mail, "hash": hash_}
                    for id_, mail, hash_ in people
                ],
            )
        ],
    )


HOSTS = {"fastapi_users": fastapi_users, "accounts": accounts, "members": members}
