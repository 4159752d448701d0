"""What a use case works with: the few things a test replaces."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from propusk.crypto.keyring import KeyRing
from propusk.crypto.passwords import PasswordHasher
from propusk.crypto.secrets import Entropy
from propusk.db.schema import Tables
from propusk.registry import Registry
from propusk.settings import Settings
from propusk.store import Store


@dataclass(frozen=True)
class Client:
    """Who is at the other end: an address, its network (the address, or an IPv6 /64), what it calls itself."""

    ip: str | None = None
    network: str = "unknown"
    user_agent: str = ""


@dataclass(frozen=True)
class Context:
    """One request, job or command. Passed first to every domain function and never stored."""

    db: AsyncSession
    now: datetime
    settings: Settings
    tables: Tables
    store: Store
    keyring: KeyRing
    passwords: PasswordHasher
    entropy: Entropy
    registry: Registry
    client: Client = Client()
