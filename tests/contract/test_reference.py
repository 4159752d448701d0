"""docs/reference is made from the code, and agrees with the contract."""

from docs.generate import FOLDER, documents
from propusk.web.routes.pages import refusal_classes

# The codes of the contract, by status.
CODES = {
    400: ["malformed_json", "invalid_token", "expired_token"],
    401: [
        "not_authenticated",
        "invalid_access_token",
        "invalid_credentials",
        "invalid_refresh_token",
        "refresh_token_reused",
        "invalid_client",
    ],
    403: [
        "forbidden",
        "wrong_password",
        "account_disabled",
        "email_not_verified",
        "cross_origin",
        "registration_closed",
    ],
    404: ["not_found"],
    405: ["method_not_allowed"],
    409: ["email_taken", "username_taken", "last_superuser", "user_in_use"],
    413: ["body_too_large"],
    415: ["unsupported_media_type"],
    422: ["invalid_input"],
    429: ["too_many_requests"],
    503: ["overloaded", "unavailable"],
}
A_BUG = {"internal_error"}
OF_HOSTS = {("recent_login_required", 403)}
"""What no route of ours answers, but `require_recent_login` in a host's."""


def test_the_committed_reference_is_what_the_code_makes_now() -> None:
    stale = [name for name, text in documents().items() if (FOLDER / name).read_text() != text]

    assert stale == [], "run `make docs` and commit what it wrote"


def test_every_code_of_the_contract_exists_and_no_other() -> None:
    promised = {(code, status) for status, codes in CODES.items() for code in codes}

    built = {(code, refusal.status) for code, refusal in refusal_classes().items() if code not in A_BUG}

    assert built == promised | OF_HOSTS


def test_every_code_is_in_the_reference() -> None:
    page = (FOLDER / "errors.md").read_text()

    assert [code for code in refusal_classes() if f"| `{code}` |" not in page] == []
