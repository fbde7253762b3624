"""Reads a code that was typed, with what is needed to say whether it is right: the rules read no store."""

from __future__ import annotations

from collections.abc import Callable

from push_service.model.ids import MethodId
from push_service.model.method import TypedCode
from push_service.model.user import User
from push_service.ports import Store


class Codes:
    """Used wherever a code is typed."""

    def __init__(self, store: Store, keyed_hash: Callable[[bytes], str]) -> None:
        """Read secrets here; `keyed_hash` makes what is kept of a code that is kept."""
        self._store, self._keyed_hash = store, keyed_hash

    async def read(self, user: User, method_id: MethodId, code: str) -> TypedCode:
        """The code, for this method of this person."""
        return TypedCode(code=code, secret=await self._secret(user, method_id), mac=self.mac(user, code))

    def mac(self, user: User, code: str) -> str:
        """What is kept of a one-time code: bound to the person, blanks, hyphens and capitals forgiven."""
        normal = "".join(char for char in code.lower() if char.isalnum())
        return self._keyed_hash(f"one-time code\n{user.id}\n{normal}".encode())

    async def _secret(self, user: User, method_id: MethodId) -> str | None:
        method = next((each for each in user.guard.methods if each.id == method_id), None)
        if method is not None and method.device_id is not None:
            device = await self._store.device(method.device_id)
            return device.totp_secret if device else None
        return await self._store.method_secret(method_id)
