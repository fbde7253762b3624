"""The verification methods: one file each, listed here once."""

from __future__ import annotations

from push_service.methods.app_code import AppCode
from push_service.methods.app_notification import AppNotification
from push_service.methods.call import PhoneCall
from push_service.methods.text_mobile import TextMobile
from push_service.model.challenge import MethodKind
from push_service.model.method import Methods, VerificationMethod

_BY_APP: tuple[VerificationMethod, ...] = (AppNotification(), AppCode())
_BY_TELEPHONE: tuple[VerificationMethod, ...] = (
    TextMobile(),
    PhoneCall(MethodKind.CALL_MOBILE),
    PhoneCall(MethodKind.CALL_OFFICE),
)

ALL: Methods = {method.kind: method for method in (*_BY_APP, *_BY_TELEPHONE)}


def offered(*, telephony: bool) -> Methods:
    """What can be verified by here: texts and calls only where a provider is set up."""
    return ALL if telephony else {method.kind: method for method in _BY_APP}
