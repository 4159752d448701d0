"""The routes that are always on."""
