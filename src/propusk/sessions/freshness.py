"""Whether somebody proved lately who they are."""

from datetime import datetime, timedelta

from propusk.errors import RecentLoginRequired
from propusk.sessions.models import Session


def check_recent_login(session: Session, now: datetime, within: timedelta) -> None:
    """Refuse a session that began longer ago than that. Refreshes do not make it younger.

    Raises:
        RecentLoginRequired
    """
    if now - session.created_at > within:
        raise RecentLoginRequired
