"""What opens what: by an account's standing, what a credential leads to in a browser, and at the door of clients.

Clients that can't show a second step (mail, chat, shells) sign in there with a name and one credential. The whole of it
is one table, which docs/security.md prints. A browser's begin is decided by it (rules/begin.py), and every sign-in of
such a client (client_sign_in.py).
"""

from __future__ import annotations

from enum import StrEnum

from push_service.model.errors import (
    AppPasswordNotForAdministration,
    AppPasswordRequired,
    InvalidClientCredentials,
    ServiceError,
    TwoStepSignInRequired,
    UserBlocked,
)
from push_service.model.user import User, UserState


class Standing(StrEnum):
    """How an account stands: its state, whether anything is registered to verify by, and whether it is blocked."""

    DISABLED = "disabled"
    ENABLED = "enabled, unregistered"
    UNREGISTERED = "enforced, unregistered"
    REGISTERED = "enforced, registered"
    BLOCKED = "blocked"


class Purpose(StrEnum):
    """What a client is for."""

    USE = "use"
    ADMINISTER = "administer"


class Credential(StrEnum):
    """What a client shows: the ordinary password, or one made for this client alone."""

    PASSWORD = "password"  # noqa: S105 - a word
    APP_PASSWORD = "app_password"  # noqa: S105 - a word


class Outcome(StrEnum):
    """What a right credential leads to: in a browser a sign-in's first state, elsewhere yes or the code of a no."""

    APPROVED = "approved"
    REGISTRATION_REQUIRED = "registration_required"
    PENDING = "pending"
    FAILED = "failed"
    ALLOWED = "allowed"
    NONE_EXISTS = "none exists"
    """There is no such credential: becoming `enabled` takes app passwords away, and they are made after registering."""
    APP_PASSWORD_REQUIRED = "app_password_required"  # noqa: S105 - a word
    TWO_STEP_SIGN_IN_REQUIRED = "two_step_sign_in_required"
    APP_PASSWORD_NOT_FOR_ADMINISTRATION = "app_password_not_for_administration"  # noqa: S105 - a word
    USER_BLOCKED = "user_blocked"


class Door(StrEnum):
    """Where what is shown for what; the columns of the table."""

    BROWSER = "browser"
    PASSWORD_TO_USE = "password, use"  # noqa: S105 - words
    PASSWORD_TO_ADMINISTER = "password, administer"  # noqa: S105 - words
    APP_PASSWORD_TO_USE = "app password, use"  # noqa: S105 - words
    APP_PASSWORD_TO_ADMINISTER = "app password, administer"  # noqa: S105 - words


_CLIENTS = {
    (Credential.PASSWORD, Purpose.USE): Door.PASSWORD_TO_USE,
    (Credential.PASSWORD, Purpose.ADMINISTER): Door.PASSWORD_TO_ADMINISTER,
    (Credential.APP_PASSWORD, Purpose.USE): Door.APP_PASSWORD_TO_USE,
    (Credential.APP_PASSWORD, Purpose.ADMINISTER): Door.APP_PASSWORD_TO_ADMINISTER,
}

_NEED_APP_PASSWORD = (
    Outcome.APP_PASSWORD_REQUIRED,
    Outcome.TWO_STEP_SIGN_IN_REQUIRED,
    Outcome.ALLOWED,
    Outcome.APP_PASSWORD_NOT_FOR_ADMINISTRATION,
)

# In the order of `Door`.
_ROWS: dict[Standing, tuple[Outcome, ...]] = {
    Standing.DISABLED: (
        Outcome.APPROVED,
        Outcome.ALLOWED,
        Outcome.ALLOWED,
        Outcome.ALLOWED,
        Outcome.APP_PASSWORD_NOT_FOR_ADMINISTRATION,
    ),
    Standing.ENABLED: (
        Outcome.REGISTRATION_REQUIRED,
        Outcome.ALLOWED,
        Outcome.TWO_STEP_SIGN_IN_REQUIRED,
        Outcome.NONE_EXISTS,
        Outcome.NONE_EXISTS,
    ),
    Standing.UNREGISTERED: (Outcome.REGISTRATION_REQUIRED, *_NEED_APP_PASSWORD),
    Standing.REGISTERED: (Outcome.PENDING, *_NEED_APP_PASSWORD),
    Standing.BLOCKED: (Outcome.FAILED, *4 * (Outcome.USER_BLOCKED,)),
}

TABLE: dict[tuple[Standing, Door], Outcome] = {
    (standing, door): outcome for standing, row in _ROWS.items() for door, outcome in zip(Door, row, strict=True)
}

REFUSALS: dict[Outcome, type[ServiceError]] = {
    Outcome.NONE_EXISTS: InvalidClientCredentials,
    Outcome.APP_PASSWORD_REQUIRED: AppPasswordRequired,
    Outcome.TWO_STEP_SIGN_IN_REQUIRED: TwoStepSignInRequired,
    Outcome.APP_PASSWORD_NOT_FOR_ADMINISTRATION: AppPasswordNotForAdministration,
    Outcome.USER_BLOCKED: UserBlocked,
}
"""What a client is told that is not allowed."""


def standing(user: User, *, registered: bool) -> Standing:
    """How an account stands; `registered`: there is something that it can be verified by.

    Registering makes `enabled` `enforced`, so whoever is `enabled` and registered all the same is treated as that.
    """
    if user.guard.blocked:
        return Standing.BLOCKED
    if user.state is UserState.DISABLED:
        return Standing.DISABLED
    if registered:
        return Standing.REGISTERED
    return Standing.ENABLED if user.state is UserState.ENABLED else Standing.UNREGISTERED


def in_browser(account: Standing) -> Outcome:
    """What a browser's sign-in begins as. Who may register with a password alone is a further rule (rules/begin.py)."""
    return TABLE[account, Door.BROWSER]


def at_clients_door(account: Standing, credential: Credential, purpose: Purpose) -> Outcome:
    """What a right credential leads to at the door of clients."""
    return TABLE[account, _CLIENTS[credential, purpose]]
