"""A person to be added: what may be given, and the row that it becomes.

One path for a person typed by an operator and for a line of an import, so that both are held to the same rules.
"""

from __future__ import annotations

import msgspec

from push_service.model import ids, phone_number
from push_service.model.errors import InvalidRequest
from push_service.model.user import Guard, User, UserState, normal_password, registrable_name_key

MIN_PASSWORD = 8
"""Characters that a password has at least beside a second factor (NIST SP 800-63B-4, 3.1.1.2)."""

MAX_PASSWORD = 1024

_YES_OR_NO = {"": False, "no": False, "false": False, "0": False, "yes": True, "true": True, "1": True}


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A person to be added, as given; `to_user` checks it."""

    username: str
    password: str | None = None
    """None: this person is only ever vouched for."""
    state: UserState = UserState.ENABLED
    admin: bool = False
    mobile: str | None = None
    office: str | None = None
    extension: str | None = None

    def to_user(self) -> User:
        """The person's row, still without a password's hash. Raises InvalidRequest."""
        if self.extension is not None and self.office is None:
            raise InvalidRequest("An extension needs an office number.")
        if self.password is not None:
            check_password(self.password)
        return User(
            id=ids.user_id(),
            name_key=registrable_name_key(self.username),
            username=self.username,
            password_hash=None,
            state=self.state,
            admin=self.admin,
            version=0,
            guard=Guard(),
            mobile=None if self.mobile is None else phone_number.e164(self.mobile),
            office=None if self.office is None else phone_number.office(self.office, self.extension),
        )


class ImportLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an import as it was written, empty where nothing was; `number` is where it stands in the file."""

    number: int
    username: str
    password: str = ""
    state: str = ""
    admin: str = ""
    mobile: str = ""
    office: str = ""
    extension: str = ""
    malformed: str = ""
    """What is wrong with the line itself, if it could not be taken apart."""

    def to_new_user(self) -> NewUser:
        """The person whom it describes. Raises InvalidRequest where a word means nothing."""
        if self.malformed:
            raise InvalidRequest(self.malformed)
        state, admin = self.state.strip().lower(), self.admin.strip().lower()
        if state not in {"", *UserState}:
            raise InvalidRequest(f"A state is one of {', '.join(UserState)}.")
        if admin not in _YES_OR_NO:
            raise InvalidRequest("admin is yes or no.")
        return NewUser(
            username=self.username.strip(),
            password=self.password or None,
            state=UserState(state) if state else UserState.ENABLED,
            admin=_YES_OR_NO[admin],
            mobile=self.mobile.strip() or None,
            office=self.office.strip() or None,
            extension=self.extension.strip() or None,
        )


def check_password(password: str) -> None:
    """Hold a new password to its length, in the form that is hashed. Raises InvalidRequest."""
    if len(normal_password(password)) < MIN_PASSWORD or len(password) > MAX_PASSWORD:
        raise InvalidRequest(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters.")
