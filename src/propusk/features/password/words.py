"""Words that a password may not be built from."""

from urllib.parse import urlsplit

from propusk.context import Context


def context_words(ctx: Context, *names: str | None) -> list[str]:
    """A person's own names, and ours."""
    host = urlsplit(ctx.settings.public_url).hostname or ""
    return [name for name in names if name] + ["propusk", host]
