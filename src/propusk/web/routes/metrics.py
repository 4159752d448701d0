"""What a monitoring system asks: a few figures about mails and jobs, and nothing about anybody."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

import propusk
from propusk.context import Context
from propusk.errors import InvalidAccessToken, NotAuthenticated, NotFound
from propusk.jobs.models import JobState
from propusk.jobs.queries import list_jobs
from propusk.mail.queries import look_into_outbox
from propusk.web.bearer import read_bearer
from propusk.web.context import Ctx, auth_of
from propusk.web.current import SCRAPER
from propusk.web.openapi import GET, refuses
from propusk.web.route import StrictRoute

router = APIRouter(tags=["operation"], route_class=StrictRoute)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[str, float]
_EXAMPLE = """\
# HELP propusk_mails Mails in the outbox.
# TYPE propusk_mails gauge
propusk_mails{state="queued"} 2
propusk_mails{state="failed"} 0
"""
_TEXT = {
    "description": "The figures, in Prometheus' text format.",
    "content": {"text/plain": {"schema": {"type": "string", "examples": [_EXAMPLE]}}},
}


async def may_scrape(request: Request) -> None:
    """Dependency: refuse who has not the token of the settings, if these name one.

    Raises:
        NotFound: there are no metrics by the settings.
        NotAuthenticated, InvalidAccessToken
    """
    settings = auth_of(request).settings
    if not settings.metrics:
        raise NotFound
    if settings.metrics_token is None:
        return
    given = read_bearer(request.scope)
    if given is None:
        raise NotAuthenticated
    if not hmac.compare_digest(given.encode(), settings.metrics_token.get_secret_value().encode()):
        raise InvalidAccessToken


@router.get(
    "/metrics",
    dependencies=[Depends(may_scrape)],
    response_class=PlainTextResponse,
    responses={200: _TEXT, **refuses(*GET, NotFound, NotAuthenticated, InvalidAccessToken)},
)
async def get_metrics(ctx: Ctx, _scraper: Annotated[None, Depends(SCRAPER)]) -> Response:
    """Figures for Prometheus: mails that wait or failed, and how the jobs go. 404 unless the settings say otherwise;
    where these name a token, it is sent as a bearer.
    """
    return PlainTextResponse(await _figures(ctx), media_type=MEDIA_TYPE)


async def _figures(ctx: Context) -> str:
    outbox = await look_into_outbox(ctx.db, ctx.tables.mails)
    waited = max(0.0, (ctx.now - outbox.oldest).total_seconds()) if outbox.oldest is not None else 0.0
    return "".join(
        [
            _family("propusk_up", "gauge", "The service answers.", [("", 1)]),
            _family("propusk_build_info", "gauge", "Its version.", [(_labels(version=propusk.__version__), 1)]),
            _family(
                "propusk_mails",
                "gauge",
                "Mails in the outbox.",
                [(_labels(state="queued"), outbox.queued), (_labels(state="failed"), outbox.failed)],
            ),
            _family("propusk_mails_oldest_seconds", "gauge", "Age of the oldest mail that waits.", [("", waited)]),
            *_about_jobs(await list_jobs(ctx)),
        ]
    )


def _about_jobs(jobs: list[JobState]) -> list[str]:
    named = [(_labels(job=job.name), job) for job in jobs]
    successes = [(label, job.succeeded_at.timestamp()) for label, job in named if job.succeeded_at is not None]
    took = [(label, job.duration_ms / 1000) for label, job in named if job.duration_ms is not None]
    return [
        _family("propusk_job_runs_total", "counter", "Runs.", [(label, job.runs) for label, job in named]),
        _family(
            "propusk_job_failures_total", "counter", "Runs that failed.", [(at, job.failures) for at, job in named]
        ),
        _family("propusk_job_last_success_timestamp_seconds", "gauge", "When it last ended well.", successes),
        _family("propusk_job_last_duration_seconds", "gauge", "How long its last run took.", took),
    ]


def _family(name: str, kind: str, about: str, samples: list[Sample]) -> str:
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{labels} {value:.15g}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(**values: str) -> str:
    escaped = (
        (name, text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for name, text in values.items()
    )
    return "{" + ",".join(f'{name}="{text}"' for name, text in escaped) + "}"
