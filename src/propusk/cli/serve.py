"""`propusk serve`: the service."""

import os

import click
import uvicorn
from fastapi import FastAPI

from propusk.auth import Auth, create_auth
from propusk.cli.run import Refused, describe_database, load_settings, require_schema, run
from propusk.db.migrate import upgrade
from propusk.logs import configure_logs
from propusk.server import create_app, standard_features
from propusk.settings import Settings


def app_from_env() -> FastAPI:
    """What each worker process runs. The command below has checked the same settings before."""
    settings = load_settings()
    configure_logs(json_lines=settings.environment == "production")
    return create_app(settings, access_log=True)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes; by default as PROPUSK_WORKERS says.")
def serve(host: str, port: int, workers: int | None) -> None:
    """Start the service. On SQLite the schema is brought up to date first."""
    settings = _settings_for(host, port, workers)
    configure_logs(json_lines=settings.environment == "production")
    banner = run(_prepare(settings, host, port))
    click.echo(banner, err=True)
    uvicorn.run(
        "propusk.cli.serve:app_from_env" if settings.workers > 1 else create_app(settings, access_log=True),
        factory=settings.workers > 1,
        workers=settings.workers if settings.workers > 1 else None,
        host=host,
        port=port,
        # Forwarded headers are our business (`trusted_proxies`); uvicorn would believe anybody on this machine.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        backlog=4096,
        timeout_graceful_shutdown=15,
        timeout_worker_healthcheck=60,
    )


def _settings_for(host: str, port: int, workers: int | None) -> Settings:
    """The settings, with what the command line says put where worker processes find it too."""
    if workers is not None:
        os.environ["PROPUSK_WORKERS"] = str(workers)
    settings = load_settings()
    if settings.environment == "development" and "public_url" not in settings.model_fields_set:
        os.environ["PROPUSK_PUBLIC_URL"] = _local_url(host, port)
        settings = load_settings()
    if settings.environment == "production" and (unsafe := settings.unsafe_in_production()):
        raise Refused("\n".join(["environment = production refuses to start:", *(f"  {fault}" for fault in unsafe)]))
    return settings


def _local_url(host: str, port: int) -> str:
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (compared, not bound)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


async def _prepare(settings: Settings, host: str, port: int) -> str:
    """Everything that could stop the start, before the first worker; returns what to tell the operator."""
    auth = create_auth(settings, standard_features())
    try:
        if auth.engine.dialect.name == "sqlite":
            await upgrade(auth.engine, auth.tables.metadata)
        await require_schema(auth)
        await auth.start()
        return _banner(settings, auth, f"http://{host}:{port}")
    finally:
        await auth.close()


def _banner(settings: Settings, auth: Auth, address: str) -> str:
    if settings.environment == "production":
        return f"Propusk on {address}, for {settings.public_url}, {settings.workers} worker(s)"
    default = "   (development default)"

    def line(name: str, value: str, setting: str) -> str:
        return f"  {name:<10}{value}{default if setting not in settings.model_fields_set else ''}"

    keys = "secret key and signing keys generated in " + str(settings.data_dir.absolute())
    lines = [
        f"Propusk on {settings.public_url}",
        f"  {'try it':<10}{settings.public_url}/docs",
        f"  {'first':<10}propusk users create --email you@example.com --superuser   (a superuser, from another shell)",
        line("data", describe_database(settings), "database_url"),
        line("keys", keys if not settings.secret_key else "as set", "secret_key"),
        line("address", f"{address}, plain HTTP: cookies go without Secure and __Host-", "public_url"),
        "  mail      none is sent by this version",
        "Set PROPUSK_ENVIRONMENT=production to have anything unsafe refused; propusk config shows all settings.",
    ]
    return "\n".join(lines)
