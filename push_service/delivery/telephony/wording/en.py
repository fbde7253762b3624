"""English."""

from __future__ import annotations

from push_service.delivery.telephony.wording.words import Words

_WAS_IT_YOU = " If that was not you, tell your administrator now."
_CALL = "This is your sign-in verification call."
_NOT_YOU = "If it was not you who is trying to sign in, press zero, then pound."

ENGLISH = Words(
    spoken="en-US",
    code="Your verification code is {code}. Nobody will ever ask you for it: only type it where you are signing in.",
    method_added="A way to verify sign-ins was added to your account{detail}." + _WAS_IT_YOU,
    method_removed="A way to verify sign-ins was removed from your account{detail}." + _WAS_IT_YOU,
    app_password_added="An app password was made for your account." + _WAS_IT_YOU,
    bypass_issued="An administrator let you sign in once without your phone. If you did not ask for it, tell them now.",
    fraud_reported="A sign-in to your account was reported as fraud and stopped." + _WAS_IT_YOU,
    press=f"{_CALL} To finish signing in, press the pound key. {_NOT_YOU}",
    key_in=f"{_CALL} Key in the number shown on your screen, then press pound. {_NOT_YOU}",
    report="To report that it was not you who is trying to sign in, press the pound key. Otherwise, hang up.",
    done="Thank you. You are verified, and can go back to your screen. Goodbye.",
    reported="Thank you. The sign-in was stopped, and your report was taken down. Goodbye.",
    not_heard="Nothing was verified. Goodbye.",
    over="There is no sign-in to verify any more. Goodbye.",
)
