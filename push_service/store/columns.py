"""Which columns a table has, in the one order in which every statement names them and rows.py maps them.

Columns are always named: a newer schema may have more.
"""

from __future__ import annotations

USER = "id, name_key, username, password_hash, state, admin, version, guard, mobile, office"
SIGN_IN = (
    "id, user_id, application_id, token_hash, state, reason, notice, version, challenge_id, begun_at, expires_at,"
    " decided_at, asker, proven, amr, result_jti, nonce, registration_hash"
)
CHALLENGE = (
    "id, sign_in_id, user_id, method_id, kind, target, nonce, context, secret, digits, state, reason, code,"
    " answered_by, answer_digest, started_at, ended_at"
)
DEVICE = "id, user_id, x, y, thumbprint, name, platform, push_token, totp_secret, state, activated_at, push_token_at"
DEVICE_WRITTEN = f"{DEVICE}, push_token_hash"
ACTIVATION = "code_hash, user_id, expires_at, sign_in_id, thumbprint, device_id"
REMEMBERED = "caller, route, key_hash, body_mac, answer, until"
APPLICATION = "id, name, secret_hash, may_vouch, redirect_uris, origins, removed, clients"
SIGNING_KEY = "kid, pem, created_at, retired_at"
AUDIT = "decision, n, at, user_id, sign_in_id, actor, kind, code, source, data"
DELIVERY = "challenge_id, device_id, next_at, lease_until"
"""What a delivery is born with; the rest has defaults."""
MESSAGE = "id, user_id, method_id, via, about, detail, expires_at, lease_until"
"""What a message is born with; the rest has defaults."""
KNOWN_MESSAGE = "id, user_id, method_id, via, about, state, begun, provider_id, expires_at"
METHOD_SECRET = "method_id, user_id, value"  # noqa: S105 - names of columns
APP_PASSWORD = "id, name, created_at, last_used_at, last_used_from"  # noqa: S105 - names of columns
APP_PASSWORD_WRITTEN = f"{APP_PASSWORD}, user_id"
MOVED_SIGN_IN = (
    "state, reason, notice, version, challenge_id, expires_at, decided_at, amr, result_jti, registration_hash"
)
"""What a sign-in that was there before can have changed."""
ENDED_CHALLENGE = "state, reason, code, answered_by, answer_digest, ended_at"
"""What the end of a challenge changes."""

OF_USER = ("devices", "activations", "method_secrets", "app_passwords")
"""Tables whose rows go with their user."""


def names(listed: str) -> list[str]:
    """The single names of a list."""
    return [name.strip() for name in listed.split(",")]


def of(listed: str, table: str) -> str:
    """The list, each name with its table's."""
    return ", ".join(f"{table}.{name}" for name in names(listed))


def width(listed: str) -> int:
    """How many columns a list has."""
    return listed.count(",") + 1
