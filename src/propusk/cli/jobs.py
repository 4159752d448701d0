"""`propusk jobs`: periodic work, how it went and when it comes next."""

import json
from datetime import datetime, timedelta
from typing import Any

import click

from propusk.cli.run import as_json_option, in_transaction, printable
from propusk.context import Context
from propusk.jobs.lease import held_until
from propusk.jobs.models import JobState
from propusk.jobs.queries import list_jobs
from propusk.setting_types import format_duration

_COLUMNS = ("name", "every", "last run", "took", "runs", "failures", "next", "error")


@click.command()
@as_json_option
def jobs(as_json: bool) -> None:
    """List the periodic jobs of the installation. An application's own have no rhythm here: its processes know it."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        known = {job.name: job.every for job in ctx.registry.periodic}
        states = {state.name: state for state in await list_jobs(ctx)}
        return [_facts(name, known.get(name), states.get(name), ctx.now) for name in sorted({*known, *states})]

    found = in_transaction(act)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print_table([_COLUMNS, *(_row(job) for job in found)])


def _facts(name: str, every: timedelta | None, state: JobState | None, now: datetime) -> dict[str, Any]:
    running = state is not None and held_until(state, now) > now
    return {
        "name": name,
        "every": format_duration(every) if every is not None else None,
        "running": running,
        "started_at": _time(state.started_at) if state else None,
        "finished_at": _time(state.finished_at) if state else None,
        "succeeded_at": _time(state.succeeded_at) if state else None,
        "duration_ms": state.duration_ms if state else None,
        "error": state.error if state else None,
        "runs": state.runs if state else 0,
        "failures": state.failures if state else 0,
        "due_at": _time(state.due_at) if state and not running else None,
    }


def _time(at: datetime | None) -> str | None:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at is not None else None


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    took = f"{job['duration_ms']} ms" if job["duration_ms"] is not None else "-"
    due = "running" if job["running"] else job["due_at"] or "not run yet"
    shown = (job["name"], job["every"], job["started_at"], took, job["runs"], job["failures"], due, job["error"])
    return tuple(printable("-" if value is None else str(value)) for value in shown)


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
