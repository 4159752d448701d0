"""`propusk serve`: the service."""

import logging
import os
import signal
import socket
import threading
from functools import partial
from typing import Any

import click
import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from propusk.cli.heap import share_one_heap
from propusk.cli.protocol import BoundedProtocol
from propusk.cli.run import Refused, describe_database, load_settings, run
from propusk.cli.settings_list import Sources, source_of, sources
from propusk.cli.start import prepare, refuse_unsafe
from propusk.logs import configure_logs
from propusk.mail.mailbox import where_mails_are
from propusk.server import create_app
from propusk.settings import Settings

log = logging.getLogger("propusk")


def app_from_env() -> FastAPI:
    """What each worker process runs. The command below has checked the same settings before."""
    share_one_heap()
    settings = load_settings()
    configure_logs(json_lines=settings.environment == "production")
    return create_app(settings, access_log=True)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes; by default as PROPUSK_WORKERS says.")
def serve(host: str, port: int, workers: int | None) -> None:
    """Start the service. On SQLite the schema is brought up to date first."""
    share_one_heap()
    settings, known = _settings_for(host, port, workers)
    configure_logs(json_lines=settings.environment == "production")
    _check_port(host, port)
    run(prepare(settings))
    _announce(settings, known, _url(host, port))
    _warn_of_open_folder(settings)
    options: dict[str, Any] = {
        "workers": settings.workers,
        "host": host,
        "port": port,
        "http": partial(BoundedProtocol, https=settings.secure),
        "ws": "none",
        # Forwarded headers are our business (`trusted_proxies`); uvicorn would believe anybody on this machine.
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "log_config": None,
        "backlog": 4096,
        # Longer than balancers keep a connection that is idle, a minute mostly: one that we close just as they use it
        # loses a request.
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 15,
        "timeout_worker_healthcheck": 60,
    }
    if settings.workers == 1:
        uvicorn.run(create_app(settings, access_log=True), **options)
    else:
        config = uvicorn.Config("propusk.cli.serve:app_from_env", factory=True, **options)
        _Workers(config, sockets=[config.bind_socket()]).run()


class _Workers(Multiprocess):
    """uvicorn's, which by itself is deaf while it waits for a sign of life, and which listens until the last worker has
    ended, so that who comes waits for nobody.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._pass_on())

    def _pass_on(self) -> None:
        """Have all workers end now; told again, they do not wait for their delay."""
        if not self.should_exit.is_set():
            # From a thread, as whom the signal has interrupted may hold the lock of this event.
            threading.Thread(target=self.should_exit.set).start()
        for worker in self.processes:
            worker.process.terminate()
            worker.child_conn.close()  # the worker has its own: now the end of one that owes us a sign is heard

    def terminate_all(self) -> None:
        """Have those workers end that nobody has told yet, and listen no more: they do so on copies of their own."""
        for worker in self.processes:
            if not worker.child_conn.closed:
                worker.terminate()
        for listener in self.sockets:
            listener.close()


def _settings_for(host: str, port: int, workers: int | None) -> tuple[Settings, Sources]:
    """The settings, with what the command line says put where worker processes find it; and where each came from."""
    if workers is not None:
        os.environ["PROPUSK_WORKERS"] = str(workers)
    settings = load_settings()
    known = sources()
    if settings.environment == "development" and "public_url" not in settings.model_fields_set:
        os.environ["PROPUSK_PUBLIC_URL"] = _url({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)  # noqa: S104
        settings = load_settings()
    refuse_unsafe(settings)
    return settings, known


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _check_port(host: str, port: int) -> None:
    """Refuse now, in a sentence, rather than after the banner and in each worker."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise Refused(f"cannot listen on {host}, port {port}: {error.strerror}") from None


def _announce(settings: Settings, known: Sources, address: str) -> None:
    """Tell a newcomer what to do next; in production, a log line as every other."""
    if settings.environment == "production":
        log.info("Propusk on %s, for %s, %d worker(s)", address, settings.public_url, settings.workers)
    else:
        click.echo(_banner(settings, known, address), err=True)


def _warn_of_open_folder(settings: Settings) -> None:
    """A folder that we made is ours alone; one that was there before may not be."""
    if settings.data_dir.is_dir() and settings.data_dir.stat().st_mode & 0o077:
        folder = settings.data_dir.absolute()
        log.warning("others may look into %s, where keys and data are: chmod 700 %s", folder, folder)


def _mail(settings: Settings) -> str:
    if (server := settings.mail_server) is not None:
        return f"sent by {server.host}:{server.port} ({server.security}), from {settings.mail_from}"
    return f"not sent, but kept: {where_mails_are(settings)}"


def _banner(settings: Settings, known: Sources, address: str) -> str:
    def line(name: str, value: str, setting: str = "") -> str:
        by_default = setting and source_of(setting, known) == "default"
        return f"  {name:<9}{value}{'   (development default)' if by_default else ''}"

    folder = settings.data_dir.absolute()
    keys = [
        f"{what} in {folder}"
        for what, given in (("secret key", settings.secret_key), ("signing keys", settings.signing_key_file))
        if not given
    ]
    cookies = "" if settings.secure else "; plain HTTP, so cookies go without Secure and __Host-"
    return "\n".join(
        [
            f"Propusk on {address}",
            line("public", settings.public_url + cookies, "public_url"),
            line("try it", f"{settings.public_url}/docs"),
            line(
                "first", "make a superuser in another shell: propusk users create --email you@example.com --superuser"
            ),
            line("data", describe_database(settings), "database_url"),
            line("keys", ", ".join(keys) or "as set", "secret_key"),
            line("mail", _mail(settings), "mail_url"),
            line("mode", f"{settings.environment}: nothing unsafe is refused; production does", "environment"),
            "propusk config shows every setting, propusk doctor what is wrong.",
        ]
    )
