"""Passwords as a credential: stored, guessed at, proven, and what a new one must be. Features build on it."""
