"""Counting in one statement, in the words of each database: upserts whose rows are locked in one order everywhere."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, TextClause, bindparam, select, text

from propusk.db.dialect import server_name

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_APART = timedelta(minutes=1)


def latest_end(longest: timedelta, now: datetime) -> datetime:
    """The latest that a right clock can have put the end of a window to; what ends later begins anew.

    As long again as the window, and a minute at least, because clocks of nodes may be a little apart, and attempts
    have waited since they looked at theirs.

    Args:
        longest: how long the longest window is.
    """
    return now + longest + max(longest, _APART)


def count_hits(
    connection: Connection, counters: Table, hits: Mapping[bytes, tuple[int, datetime]], now: datetime
) -> dict[bytes, tuple[int, datetime]]:
    """Count so many more for each key, atomically; a window that has passed starts anew. So does one that ends further
    away than a right clock can have put it, or who counted while the clock was ahead would be refused until then.

    Args:
        hits: for each key how many, and, should its window start now, when that window would end.
    Returns:
        for each key the count with these hits and the end of its window.
    """
    values: dict[str, Any] = {"now": now, "far": latest_end(max(end for _, end in hits.values()) - now, now)}
    # In one order everywhere, or two who count the same keys could wait for each other.
    for n, (key, (count, end)) in enumerate(sorted(hits.items())):
        values |= {f"key{n}": key, f"count{n}": count, f"end{n}": end}
    name = server_name(connection)
    rows = connection.execute(_count_text(name, counters, len(hits)), values)
    if name == "mysql":
        # MySQL knows no RETURNING; within the transaction nobody else has counted since.
        c = counters.c
        rows = connection.execute(select(c.key, c.count, c.resets_at).where(c.key.in_(list(hits))))
    return {bytes(key): (count, end) for key, count, end in rows}


def uncount_hits(connection: Connection, counters: Table, taken: Mapping[bytes, int], now: datetime) -> None:
    """Take so much off the count of each key, but no more than there is; a window that has passed stays as it is.

    One statement, as it takes one trip and locks the rows in the order it names them, which an UPDATE does not. The
    price is a row for a key that was never counted. Its window ended long ago, so it is the same as none.
    """
    values: dict[str, Any] = {"now": now}
    for n, (key, count) in enumerate(sorted(taken.items())):
        values |= {f"key{n}": key, f"count{n}": count, f"end{n}": _LONG_AGO}
    connection.execute(_uncount_text(server_name(connection), counters, len(taken)), values)


@lru_cache
def _count_text(dialect: str, counters: Table, size: int) -> Any:
    """The upsert in the dialect's own words: SQLAlchemy would compile an INSERT of several rows anew each time."""
    if dialect in ("mysql", "mariadb"):
        # Both assign from left to right, so the count must look at the end of the window before it moves.
        act = (
            "`count` = IF(resets_at > :now AND resets_at <= :far, `count`, 0) + VALUES(`count`),"
            " resets_at = IF(resets_at > :now AND resets_at <= :far, resets_at, VALUES(resets_at))"
            + (" RETURNING `key`, `count`, resets_at" if dialect == "mariadb" else "")
        )
    else:
        act = (
            "count = CASE WHEN c.resets_at > :now AND c.resets_at <= :far THEN c.count ELSE 0 END + excluded.count,"
            " resets_at = CASE WHEN c.resets_at > :now AND c.resets_at <= :far THEN c.resets_at"
            " ELSE excluded.resets_at END"
            " RETURNING key, count, resets_at"
        )
    far = bindparam("far", type_=counters.c.resets_at.type)
    statement = _upsert(dialect, counters, size, act).bindparams(far)
    if dialect == "mysql":
        return statement
    return statement.columns(counters.c.key, counters.c.count, counters.c.resets_at)


@lru_cache
def _uncount_text(dialect: str, counters: Table, size: int) -> Any:
    """What would be inserted says how much to take off."""
    if dialect in ("mysql", "mariadb"):
        return _upsert(
            dialect,
            counters,
            size,
            "`count` = IF(resets_at <= :now, `count`, IF(`count` > VALUES(`count`), `count` - VALUES(`count`), 0))",
        )
    return _upsert(
        dialect,
        counters,
        size,
        "count = CASE WHEN c.resets_at <= :now THEN c.count"
        " WHEN c.count > excluded.count THEN c.count - excluded.count ELSE 0 END",
    )


def _upsert(dialect: str, counters: Table, size: int, act: str) -> TextClause:
    """Insert rows of `:key0`, `:count0`, `:end0` and so on; do `act` to those that are there."""
    rows = ", ".join(f"(:key{n}, :count{n}, :end{n})" for n in range(size))
    if dialect in ("mysql", "mariadb"):
        columns, clash = "(`key`, `count`, resets_at)", "ON DUPLICATE KEY UPDATE"
    else:
        columns, clash = "AS c (key, count, resets_at)", "ON CONFLICT (key) DO UPDATE SET"
    types = {"now": counters.c.resets_at.type}
    for n in range(size):
        types |= {f"key{n}": counters.c.key.type, f"count{n}": counters.c.count.type, f"end{n}": types["now"]}
    sql = ("INSERT INTO", counters.name, columns, "VALUES", rows, clash, act)
    return text(" ".join(sql)).bindparams(*(bindparam(name, type_=kind) for name, kind in types.items()))
