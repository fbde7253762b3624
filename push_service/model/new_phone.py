"""A phone to be registered: what a person may give, and the number and method that it becomes."""

from __future__ import annotations

import msgspec

from push_service.model import phone_number
from push_service.model.challenge import MethodKind
from push_service.model.errors import InvalidRequest
from push_service.model.message import Via
from push_service.model.policy import Policy
from push_service.model.user import PhoneKind, User


class NewPhone(msgspec.Struct, frozen=True, kw_only=True):
    """A phone, as given."""

    kind: PhoneKind
    number: str | None = None
    """None: the one that the operator knows of this person."""
    extension: str | None = None
    by: Via | None = None
    """How it is confirmed. None: by a text where it takes texts."""

    @property
    def method(self) -> MethodKind:
        """The method by which it is confirmed. Raises InvalidRequest for texts to an office."""
        if self.kind is PhoneKind.OFFICE:
            if self.by is Via.TEXT:
                raise InvalidRequest("An office phone is called: it takes no texts.")
            return MethodKind.CALL_OFFICE
        return MethodKind.CALL_MOBILE if self.by is Via.CALL else MethodKind.TEXT_MOBILE

    def number_for(self, user: User, policy: Policy) -> str:
        """The number in stored form, allowed by the policy. Raises InvalidRequest."""
        number = self._suggested(user) if self.number is None else self._given(self.number)
        phone_number.require_country(number, policy.phone_countries)
        if self.kind is PhoneKind.MOBILE:
            phone_number.require_mobile(number)
        return number

    def _given(self, number: str) -> str:
        if self.kind is PhoneKind.OFFICE:
            return phone_number.office(number, self.extension)
        if self.extension is not None:
            raise InvalidRequest("A mobile phone has no extension.")
        return phone_number.e164(number)

    def _suggested(self, user: User) -> str:
        if self.extension is not None:
            raise InvalidRequest("An extension needs a number.")
        number = user.office if self.kind is PhoneKind.OFFICE else user.mobile
        if number is None:
            raise InvalidRequest("No number is known of this phone: give one.")
        return number
