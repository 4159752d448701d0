"""What an installation that serves people may not do."""

import re

from propusk.settings import Algorithm, Settings


def unsafe_in_production(settings: Settings) -> list[str]:
    """What must not be so when `environment` is `production`, a sentence each."""
    found = []
    if not settings.secure:
        found.append("public_url must be https")
    if not settings.secret_key:
        found.append("secret_key must be given, not generated")
    if any(_looks_like_a_sample(key.get_secret_value()) for key in settings.secret_key):
        found.append("secret_key looks like a sample; make one with: openssl rand -base64 48")
    if settings.metrics and settings.metrics_token is None:
        found.append("metrics needs metrics_token, or anybody may read them")
    if settings.signing_key_file is None and settings.token_algorithm is not Algorithm.HS256:
        found.append("signing_key_file must be given, not generated")
    if settings.password.memory_kib < 19456 or settings.password.iterations < 2:
        found.append("password.memory_kib and password.iterations must be at least 19456 and 2")
    if settings.mail_server is None:
        found.append("mail_url must be given: people cannot read a mailbox on this machine")
    elif settings.mail_server.security == "none":
        found.append("mail_url must not say security=none: links that reset passwords would go in clear")
    return found


def _looks_like_a_sample(key: str) -> bool:
    """Whether a key was copied from an example instead of drawn at random."""
    return (
        len(set(key)) < 10
        or re.search(r"change.?me|secret.?key|example|sample|insecure|password", key, re.IGNORECASE) is not None
    )
