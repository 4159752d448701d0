"""Logging in: limits before, one way into a session after."""
