"""`propusk worker`: the jobs of the service in a process of their own."""

import asyncio
import logging
import signal
from datetime import timedelta

import click

from propusk.assemble import assemble
from propusk.cli.run import load_settings, require_data_dir, run
from propusk.cli.start import prepare, refuse_unsafe
from propusk.create import standard_features
from propusk.logs import configure_logs
from propusk.settings import Settings

log = logging.getLogger("propusk")
POLL = timedelta(seconds=1)
"""How often the outbox is looked into: those who put mails there are other processes and cannot wake us."""


@click.command()
def worker() -> None:
    """Send mails and run periodic jobs, without serving requests, until SIGTERM or SIGINT.

    For a service with PROPUSK_JOBS_INLINE=false, or beside one that is busy. Any number may run.
    """
    settings = load_settings()
    require_data_dir(settings)
    refuse_unsafe(settings)
    configure_logs(json_lines=settings.environment == "production")
    run(_work(settings))


async def _work(settings: Settings) -> None:
    await prepare(settings)
    auth = assemble(settings, standard_features())
    asked_to_end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    async with auth.running(jobs=True, poll=POLL):
        log.info("working: mails, %s", ", ".join(job.name for job in auth.worker.periodic))
        await asked_to_end.wait()
        log.info("ending: what is under way has a few seconds")
