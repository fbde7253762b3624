"""The list of app passwords, in the dialect that both stores share. Parameters are numbered as in outbox.py."""

from __future__ import annotations

from push_service.store import columns

LISTED = f"SELECT {columns.APP_PASSWORD} FROM app_passwords WHERE user_id = ?1 ORDER BY created_at, id"  # noqa: S608
USED = (
    "UPDATE app_passwords SET last_used_at = ?1, last_used_from = ?2"
    " WHERE id = ?3 AND (last_used_at IS NULL OR last_used_at <= ?1)"
)
FORGET = "DELETE FROM app_passwords WHERE id = ?1"
