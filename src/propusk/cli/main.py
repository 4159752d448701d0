"""`propusk`: the commands, each imported when it is called."""

import gc
import importlib
from types import ModuleType

import click

import propusk

COMMANDS = {
    "serve": "propusk.cli.serve:serve",
    "migrate": "propusk.cli.migrate:migrate",
    "users": "propusk.cli.users:users",
    "keys": "propusk.cli.keys:keys",
    "mail": "propusk.cli.mail:mail",
    "worker": "propusk.cli.worker:worker",
    "jobs": "propusk.cli.jobs:jobs",
    "config": "propusk.cli.config:config",
    "doctor": "propusk.cli.doctor:doctor",
}


class _Lazy(click.Group):
    """Imports a command when it is needed: `propusk --help` need not load a web server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(_import(module), name)
        return command


def _import(module: str) -> ModuleType:
    # What modules define stays: the collector would look through it again and again while it grows.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(propusk.__version__, prog_name="propusk")
def main() -> None:
    """Propusk: authentication and user management."""
