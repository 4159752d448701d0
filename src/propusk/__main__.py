"""`python -m propusk`: the same as `propusk`."""

from propusk.cli.main import main

main(prog_name="propusk")
