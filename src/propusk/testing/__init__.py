"""For the tests of an app that uses Propusk: users of your making, logged-in clients, captured mail, a clock to move.

The pytest plugin `propusk.testing.plugin` offers them as fixtures. As it is part of every run of pytest where Propusk
is installed, names are loaded when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from propusk.mail.memory import MemoryMailer
    from propusk.testing.clock import Clock
    from propusk.testing.kit import PASSWORD, Kit
    from propusk.testing.mails import CapturedMail, Mails
    from propusk.testing.settings import limits, settings_for_tests
    from propusk.testing.sync_kit import SyncKit, SyncMails
    from propusk.testing.tables import make_tables

__all__ = [
    "PASSWORD",
    "CapturedMail",
    "Clock",
    "Kit",
    "Mails",
    "MemoryMailer",
    "SyncKit",
    "SyncMails",
    "limits",
    "make_tables",
    "settings_for_tests",
]
_HOME = {
    "PASSWORD": "testing.kit",
    "CapturedMail": "testing.mails",
    "Clock": "testing.clock",
    "Kit": "testing.kit",
    "Mails": "testing.mails",
    "MemoryMailer": "mail.memory",
    "SyncKit": "testing.sync_kit",
    "SyncMails": "testing.sync_kit",
    "limits": "testing.settings",
    "make_tables": "testing.tables",
    "settings_for_tests": "testing.settings",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'propusk.testing' has no attribute {name!r}")
    value: object = getattr(import_module(f"propusk.{_HOME[name]}"), name)
    globals()[name] = value
    return value
