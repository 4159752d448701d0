"""`propusk` and `python -m propusk`: the commands, where what they need is installed."""

import sys

from propusk.extras import explained


def main() -> None:
    """Run a command; without the packages of the service, say what to install."""
    try:
        from propusk.cli.main import main as command

        command(prog_name="propusk")
    except ModuleNotFoundError as missing:
        error = explained(missing, "service")
        if error is missing:
            raise
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
