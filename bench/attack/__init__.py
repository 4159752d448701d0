"""Attacks that need time or brute force, against real processes: the long rounds of what `make test` shows in short."""
