"""Tokens: what a session hands to its client. Access tokens are signed, refresh tokens are computed."""
