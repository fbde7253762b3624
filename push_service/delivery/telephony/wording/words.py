"""Every sentence that a language has to have."""

from __future__ import annotations

import msgspec


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """One language. Texts first, then what is spoken."""

    spoken: str
    """What the voice is told to speak, as BCP 47 has it."""
    code: str
    """With `{code}`."""
    method_added: str
    """With `{detail}`: nothing, or a masked number in brackets after a blank."""
    method_removed: str
    """With `{detail}`."""
    app_password_added: str
    bypass_issued: str
    fraud_reported: str
    press: str
    """Press # to finish, 0# if it was not you."""
    key_in: str
    """The same, with the number on the screen before #."""
    report: str
    """After 0 alone: # to report it."""
    done: str
    reported: str
    not_heard: str
    over: str
