"""Refusals: every way the domain says no. A refusal carries all that its answer needs; one handler renders it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar


class AuthError(Exception):
    """A refusal. Subclasses name their stable `code`, their HTTP `status` and a `title` for people.

    `keeps_writes` says that the use case wrote something to be kept before it refused: a failed login in the audit
    trail, a session ended by a reused refresh token. It is kept whatever becomes of the request, and committed before
    that is answered; in a transaction that a host lent us, it is the host who commits.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    detail: ClassVar[str]
    keeps_writes: ClassVar[bool] = False

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.detail)
        self.set_cookies: tuple[str, ...] = ()

    def headers(self) -> dict[str, str]:
        """Headers that the answer must carry; `set_cookies` adds lines of their own."""
        return {}


@dataclass(frozen=True)
class FieldError:
    """One fault of one field: where (`profile.nickname`), a stable word for programs, a sentence for people."""

    field: str
    code: str
    message: str


# 400


class MalformedJson(AuthError):
    code, status, title = "malformed_json", 400, "Malformed JSON"
    detail = "The body is not a well-formed JSON document."


class InvalidToken(AuthError):
    code, status, title = "invalid_token", 400, "Invalid link"
    detail = "This link is not valid, or it has been used. Ask for a new one."


class ExpiredToken(AuthError):
    code, status, title = "expired_token", 400, "Link expired"
    detail = "This link has expired. Ask for a new one."


# 401 (RFC 9110, section 15.5.2: a challenge goes with each)


class Unauthenticated(AuthError):
    """The root of the 401s that ask for a credential (RFC 6750, section 3)."""

    status = 401
    challenge: ClassVar[str] = "Bearer"

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": self.challenge}


class NotAuthenticated(Unauthenticated):
    code, title = "not_authenticated", "Not authenticated"
    detail = "Log in first: send an access token in the Authorization header or in the session's cookie."


class InvalidAccessToken(Unauthenticated):
    code, title = "invalid_access_token", "Invalid access token"
    detail = "The access token is not valid, has expired, or its session has ended."
    challenge = 'Bearer error="invalid_token"'


class InvalidCredentials(Unauthenticated):
    code, title, keeps_writes = "invalid_credentials", "Wrong login or password", True
    detail = "No user has this login and this password."


class InvalidRefreshToken(Unauthenticated):
    code, title = "invalid_refresh_token", "Invalid refresh token"
    detail = "The refresh token is not valid, has expired, or its session has ended."
    challenge = 'Bearer error="invalid_token"'


class RefreshTokenReused(Unauthenticated):
    """RFC 9700, section 4.14.2: a used refresh token means theft somewhere, so its session ends."""

    code, title, keeps_writes = "refresh_token_reused", "Refresh token used again", True
    detail = "This refresh token was used before. Its session has been ended for safety; log in again."
    challenge = 'Bearer error="invalid_token"'


class InvalidClient(Unauthenticated):
    """RFC 6749, section 5.2."""

    code, title = "invalid_client", "Invalid client"
    detail = "Introspection needs the id and the secret of a client that may introspect."
    challenge = 'Basic realm="propusk"'


# 403


class Forbidden(AuthError):
    code, status, title = "forbidden", 403, "Not allowed"
    detail = "You are logged in, but this is for superusers."


class WrongPassword(AuthError):
    code, status, title, keeps_writes = "wrong_password", 403, "Wrong password", True
    detail = "The current password is not right."


class AccountDisabled(AuthError):
    code, status, title, keeps_writes = "account_disabled", 403, "Account disabled", True
    detail = "This account has been deactivated."


class EmailNotVerified(AuthError):
    code, status, title, keeps_writes = "email_not_verified", 403, "E-mail address not verified", True
    detail = "Verify your e-mail address first: follow the link in the mail, or ask for a new one."


class RecentLoginRequired(AuthError):
    """Not the 401 of RFC 9470, section 3: clients answer a 401 by refreshing, which would not help."""

    code, status, title = "recent_login_required", 403, "Log in again"
    detail = "This needs a fresh login: log in once more, then try again."


class CrossOrigin(AuthError):
    code, status, title = "cross_origin", 403, "Cross-origin request"
    detail = "A request that uses cookies must come from a page of the same origin."


class RegistrationClosed(AuthError):
    code, status, title = "registration_closed", 403, "Registration is closed"
    detail = "Accounts are made by an administrator here."


# 404, 405, 409, 413, 415


class NotFound(AuthError):
    code, status, title = "not_found", 404, "Not found"
    detail = "There is nothing here."


class MethodNotAllowed(AuthError):
    code, status, title = "method_not_allowed", 405, "Method not allowed"
    detail = "This address does not take this method; the Allow header lists those it takes."

    def __init__(self, allow: Sequence[str] = ()) -> None:
        super().__init__()
        self.allow = allow

    def headers(self) -> dict[str, str]:
        return {"Allow": ", ".join(self.allow)} if self.allow else {}


class EmailTaken(AuthError):
    code, status, title = "email_taken", 409, "E-mail address taken"
    detail = "Another user has this e-mail address."


class UsernameTaken(AuthError):
    code, status, title = "username_taken", 409, "Username taken"
    detail = "Another user has this username."


class LastSuperuser(AuthError):
    code, status, title = "last_superuser", 409, "Last superuser"
    detail = "Nobody would be left to administer: make another active superuser first."


class UserInUse(AuthError):
    code, status, title = "user_in_use", 409, "User in use"
    detail = "Other records of this system still point at this user."


class BodyTooLarge(AuthError):
    code, status, title = "body_too_large", 413, "Body too large"
    detail = "The body is larger than 64 KiB."


class UnsupportedMediaType(AuthError):
    code, status, title = "unsupported_media_type", 415, "Unsupported media type"
    detail = "Send the body as application/json, in UTF-8, without a content coding."


# 422


class InvalidInput(AuthError):
    """One or more fields are invalid. Never carries a submitted value."""

    code, status, title = "invalid_input", 422, "Invalid input"
    detail = "One or more fields are invalid; `errors` names them."

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__()
        self.errors = tuple(errors)


def invalid(field: str, code: str, message: str) -> InvalidInput:
    """The refusal of one field."""
    return InvalidInput([FieldError(field, code, message)])


# 429, 503


def _seconds(wait: timedelta) -> str:
    """Whole seconds, rounded up, at least one (RFC 9110, section 10.2.3)."""
    return str(max(1, -(-wait // timedelta(seconds=1))))


class TooManyRequests(AuthError):
    code, status, title = "too_many_requests", 429, "Too many requests"
    detail = "Too many attempts; wait as long as the Retry-After header says."

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__()
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        return {"Retry-After": _seconds(self.retry_after)}


class Overloaded(AuthError):
    code, status, title = "overloaded", 503, "Overloaded"
    detail = "The server is at its limit; try again in a moment."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": "1"}


class Unavailable(AuthError):
    code, status, title = "unavailable", 503, "Unavailable"
    detail = "Something that this needs is away; nothing was changed as far as we can tell. Try again in a moment."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": "2"}
