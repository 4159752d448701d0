"""Propusk: authentication and user management for Python."""

__version__ = "0.1.0.dev0"
