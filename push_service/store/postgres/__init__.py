"""The store for many processes and machines.

PostgreSQL decides: decisions of many people are written by one statement, each on condition that its user is still at
the version that was read, and checked against the server's clock.
"""

from push_service.store.postgres.connections import Limits
from push_service.store.postgres.store import PostgresStore

__all__ = ["Limits", "PostgresStore"]
