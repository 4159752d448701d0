"""Fixture `make_stand`, as the tests of hosts have it."""

from tests.host.conftest import make_stand

__all__ = ["make_stand"]
