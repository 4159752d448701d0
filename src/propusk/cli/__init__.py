"""The command line: `propusk …`."""
