"""The database: types, the schema, the engine, what differs between dialects, migrations."""
