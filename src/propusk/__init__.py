"""Propusk: authentication and user management for Python.

Names are loaded when they are used, so that `propusk.verify` alone costs neither a database nor a web framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from propusk.auth import Auth
    from propusk.context import Client, Context
    from propusk.create import create_auth, make_engine, standard_features
    from propusk.db.users_table import UsersTable
    from propusk.errors import AuthError
    from propusk.host import CookieNames, must_have, profile_of
    from propusk.sessions.models import Principal, Session
    from propusk.settings import LimitSettings, PasswordSettings, Settings, SettingsError
    from propusk.tokens.issue import TokenPair
    from propusk.users.models import User
    from propusk.web.answers import clear_session_cookies, set_session_cookies
    from propusk.web.context import Ctx, client_of
    from propusk.web.current import (
        CurrentPrincipal,
        CurrentSession,
        CurrentUser,
        OptionalUser,
        RefreshCookie,
        SameOrigin,
        SuperUser,
        VerifiedUser,
        authenticate,
        require_recent_login,
    )
    from propusk.web.install import PAGES
    from propusk.web.log_out import log_out_by_cookies
    from propusk.web.login_form import LoginForm
    from propusk.web.problems import as_detail
    from propusk.web.route import BoundedRoute

__version__ = "0.1.0.dev0"
__all__ = [
    "PAGES",
    "Auth",
    "AuthError",
    "BoundedRoute",
    "Client",
    "Context",
    "CookieNames",
    "Ctx",
    "CurrentPrincipal",
    "CurrentSession",
    "CurrentUser",
    "LimitSettings",
    "LoginForm",
    "OptionalUser",
    "PasswordSettings",
    "Principal",
    "RefreshCookie",
    "SameOrigin",
    "Session",
    "Settings",
    "SettingsError",
    "SuperUser",
    "TokenPair",
    "User",
    "UsersTable",
    "VerifiedUser",
    "as_detail",
    "authenticate",
    "clear_session_cookies",
    "client_of",
    "create_auth",
    "log_out_by_cookies",
    "make_engine",
    "must_have",
    "profile_of",
    "require_recent_login",
    "set_session_cookies",
    "standard_features",
]
_HOME = {
    "PAGES": "web.install",
    "Auth": "auth",
    "AuthError": "errors",
    "BoundedRoute": "web.route",
    "Client": "context",
    "Context": "context",
    "CookieNames": "host",
    "Ctx": "web.context",
    "LimitSettings": "settings",
    "LoginForm": "web.login_form",
    "PasswordSettings": "settings",
    "Principal": "sessions.models",
    "Session": "sessions.models",
    "Settings": "settings",
    "SettingsError": "settings",
    "TokenPair": "tokens.issue",
    "User": "users.models",
    "UsersTable": "db.users_table",
    "as_detail": "web.problems",
    "clear_session_cookies": "web.answers",
    "client_of": "web.context",
    "create_auth": "create",
    "log_out_by_cookies": "web.log_out",
    "make_engine": "create",
    "must_have": "host",
    "profile_of": "host",
    "set_session_cookies": "web.answers",
    "standard_features": "create",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'propusk' has no attribute {name!r}")
    try:
        value: object = getattr(import_module(f"propusk.{_HOME.get(name, 'web.current')}"), name)
    except ModuleNotFoundError as missing:
        from propusk.extras import explained

        raise explained(missing, "library") from None
    globals()[name] = value
    return value
