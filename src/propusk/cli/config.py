"""`propusk config`: the settings in force."""

import json

import click

from propusk.cli.run import as_json_option, load_settings, missing_data_dir, printable
from propusk.cli.settings_list import all_settings, reference, shown_value, source_of, sources


@click.command()
@as_json_option
@click.option(
    "--reference", "as_reference", is_flag=True, help="Every setting with its default and meaning, as Markdown."
)
def config(as_json: bool, as_reference: bool) -> None:
    """Show every setting, its value (secrets masked) and where it comes from."""
    if as_reference:
        click.echo(reference())
        return
    settings = load_settings()
    known = sources()
    shown = [(s.name, shown_value(settings, s.name), source_of(s.name, known)) for s in all_settings()]
    if as_json:
        click.echo(json.dumps({name: {"value": value, "source": source} for name, value, source in shown}, indent=2))
    else:
        width = max(len(f"{name} = {printable(value)}") for name, value, _ in shown if len(value) < 40)
        for name, value, source in shown:
            line = f"{name} = {printable(value)}"
            click.echo(line if source == "default" else f"{line:<{width}}  ({source})")
    if missing := missing_data_dir(settings):
        click.echo(f"note: {missing}", err=True)
