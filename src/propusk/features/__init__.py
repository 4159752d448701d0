"""Features: each a folder, each a record of what it adds. They do not know each other."""
