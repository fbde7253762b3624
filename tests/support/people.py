"""People and applications of a running server, made through the operator's use cases on the same store."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from unittest import mock

from mobile_stub.phone import Phone
from push_service.app import Core, open_core
from push_service.config import load
from push_service.model.new_application import NewApplication
from push_service.model.new_user import NewUser
from push_service.model.user import User, UserState

from .browser import Browser
from .service import Service

PASSWORD = "correct horse battery staple"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class App:
    """An application's credentials; a public one has no secret."""

    client_id: str
    client_secret: str | None


class Office:
    """The operator, sitting beside the running server."""

    def __init__(self, service: Service, core: Core) -> None:
        self.service, self.core = service, core

    async def person(
        self,
        name: str | None = None,
        *,
        state: UserState = UserState.ENABLED,
        password: str | None = PASSWORD,
        admin: bool = False,
    ) -> User:
        """A new user with a name of their own."""
        username = name or f"person{next(_numbers)}-{secrets.token_hex(3)}"
        new = NewUser(username=username, password=password, state=state, admin=admin)
        return await self.core.administrator.add_user(new)

    async def activation(self, user: User) -> str:
        """An activation URI."""
        return (await self.core.registrar.issue_activation(user.id)).uri

    async def phone(self, user: User, name: str = "Pixel", **setup: object) -> Phone:
        """A stub phone of the user, connected. Close it with `async with` or `close()`."""
        return await Phone.activate(await self.activation(user), name=name, platform="stub", **setup)

    async def application(
        self, name: str = "Contoso Mail", *, may_vouch: bool = True, public: bool = False, **more: object
    ) -> App:
        """A new application."""
        new = NewApplication(name=name, public=public, may_vouch=may_vouch and not public, **more)
        issued = await self.core.administrator.add_application(new)
        return App(issued.application.id, issued.client_secret)

    @asynccontextmanager
    async def browser(self, app: App | None = None, **more: object) -> AsyncIterator[Browser]:
        """A browser's side, for an application of its own unless given."""
        async with self.service.session() as session:
            yield Browser(session, app or await self.application(), **more)


@asynccontextmanager
async def office(service: Service) -> AsyncIterator[Office]:
    """Open the operator's use cases on the server's store."""
    ours = {name: value for name, value in service.environment.items() if name.startswith("PUSH_SERVICE_")}
    with mock.patch.dict(os.environ, ours):
        settings = load()
    async with open_core(settings) as core:
        yield Office(service, core)
