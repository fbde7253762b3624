"""People and applications of a running server, made through the operator's use cases on the same store."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest import mock

from mobile_stub.phone import Phone
from mobile_stub.surroundings import ORDINARY, Setup
from push_service.config import load
from push_service.core import Core, open_core
from push_service.model.application import Clients
from push_service.model.new_application import NewApplication
from push_service.model.new_user import NewUser
from push_service.model.user import User, UserState

from .browser import App, Browser
from .service import Service

PASSWORD = "correct horse battery staple"
HEARD_SECONDS = 30.0
_numbers = itertools.count(1)
_shared: dict[Path, App] = {}


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
        mobile: str | None = None,
        office: str | None = None,
        extension: str | None = None,
    ) -> User:
        """A new user with a name of their own."""
        username = name or f"person{next(_numbers)}-{secrets.token_hex(3)}"
        new = NewUser(
            username=username,
            password=password,
            state=state,
            admin=admin,
            mobile=mobile,
            office=office,
            extension=extension,
        )
        return await self.core.administrator.add_user(new)

    async def activation(self, user: User) -> str:
        """An activation URI."""
        return (await self.core.registrar.issue_activation(user.id)).uri

    async def phone(
        self, user: User, name: str = "Pixel", *, clock_skew: float = 0.0, setup: Setup = ORDINARY
    ) -> Phone:
        """A stub phone of the user, connected. Close it with `async with` or `close()`."""
        uri = await self.activation(user)
        return await Phone.activate(uri, name=name, platform="stub", clock_skew=clock_skew, setup=setup)

    async def application(
        self,
        name: str = "Contoso Mail",
        *,
        may_vouch: bool = True,
        public: bool = False,
        redirect_uris: tuple[str, ...] = (),
        origins: tuple[str, ...] = (),
        clients: Clients = Clients.ANY,
    ) -> App:
        """A new application, which the running server knows."""
        new = NewApplication(
            name=name,
            public=public,
            may_vouch=may_vouch and not public,
            redirect_uris=redirect_uris,
            origins=origins,
            clients=clients,
        )
        issued = await self.core.administrator.add_application(new)
        app = App(issued.application.id, issued.client_secret)
        await self._heard(app)
        return app

    async def _heard(self, app: App) -> None:
        """Wait until the running server knows the application, which it hears of within a second."""
        if not self.service.running:
            return
        for process in self.service.each():
            async with process.session() as session, asyncio.timeout(HEARD_SECONDS):
                stranger = Browser(session, app)
                while (await stranger.post_begin(username="nobody")).body["code"] == "invalid_client":  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)

    @asynccontextmanager
    async def browser(self, app: App | None = None, *, origin: str | None = None) -> AsyncIterator[Browser]:
        """A browser's side, for the application that all stories of this server share unless another is given."""
        if app is None:
            app = _shared.get(self.service.folder) or await self.application()
            _shared[self.service.folder] = app
        async with self.service.session() as session:
            yield Browser(session, app, origin=origin)


@asynccontextmanager
async def office(service: Service) -> AsyncIterator[Office]:
    """Open the operator's use cases on the server's store."""
    ours = {name: value for name, value in service.environment.items() if name.startswith("PUSH_SERVICE_")}
    with mock.patch.dict(os.environ, ours):
        settings = load()
    async with open_core(settings) as core:
        yield Office(service, core)
