"""Verify Propusk's access tokens in another service: offline by its published keys, or live by asking it each time.

Stands alone: needs joserfc and h11, no database, no web framework, and nothing else of Propusk's.
"""

from propusk.verify.claims import AccessToken
from propusk.verify.http import Fetch, Request, Response
from propusk.verify.refusals import InsufficientScope, InvalidToken, IssuerUnavailable, MissingToken, Refused
from propusk.verify.verifier import TokenVerifier

__all__ = [
    "AccessToken",
    "Fetch",
    "InsufficientScope",
    "InvalidToken",
    "IssuerUnavailable",
    "MissingToken",
    "Refused",
    "Request",
    "Response",
    "TokenVerifier",
]
