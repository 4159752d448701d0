"""The links in our mails: to pages of ours, from `public_url` alone, whatever host a request came by."""

from propusk.settings import Settings


def page_link(settings: Settings, page: str, token: str) -> str:
    """The address of a page that asks before it uses the token up."""
    return f"{settings.public_url}/{page}?token={token}"
