"""Users: who they are, how they are found, made, changed and deleted."""
