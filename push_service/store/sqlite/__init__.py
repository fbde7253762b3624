"""The embedded store.

SQLite in WAL mode, one writer that commits whatever is queued, readers that never wait behind it.
"""

from push_service.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
