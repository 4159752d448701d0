"""What this app keeps: a counter of its own, and Propusk's tables, which `create_auth(metadata=…)` adds."""

from sqlalchemy import Column, Integer, MetaData, Table

metadata = MetaData()
counters = Table("counters", metadata, Column("id", Integer, primary_key=True), Column("n", Integer, nullable=False))
