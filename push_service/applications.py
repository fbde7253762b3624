"""Who may send people here: applications, read once and again when the bell says that they changed."""

from __future__ import annotations

import hmac

from push_service.model import ids
from push_service.model.application import SETTINGS, Application, built_in
from push_service.model.errors import InvalidClient, OriginNotAllowed
from push_service.model.ids import ApplicationId
from push_service.ports import Store


class Applications:
    """All applications in memory: there are few, and every begin needs one."""

    def __init__(self, store: Store, origin: str) -> None:
        """Read them from the store; the built-in ones live at the service's own origin."""
        self._store, self._origin = store, origin
        self._known: dict[str, Application] = {}
        self._stale = True

    def changed(self) -> None:
        """Read them again before the next use: attached to the bell."""
        self._stale = True

    async def find(self, application_id: str) -> Application | None:
        """The application of that id; removed ones are not found."""
        application = await self.named(application_id)
        return application if application and not application.removed else None

    async def named(self, application_id: str) -> Application | None:
        """The application of that id, even a removed one: its sign-ins still have its name."""
        if self._stale:
            self._stale = False
            stored = (*built_in(self._origin), *await self._store.applications())
            self._known = {each.id: each for each in stored}
        known = self._known.get(application_id)
        if known is None:
            # Perhaps added by another process a moment ago, whose bell has not rung here yet.
            known = await self._store.application(ApplicationId(application_id))
            if known:
                self._known[known.id] = known
        return known

    async def authenticated(self, client_id: str, secret: str) -> Application:
        """The application that has this secret. Raises InvalidClient, alike for an unknown id and a wrong secret."""
        application = await self.find(client_id)
        known = application.secret_hash if application and application.secret_hash else ids.digest("")
        right = hmac.compare_digest(known, ids.digest(secret))
        if application is None or application.public or not right:
            raise InvalidClient
        return application

    async def of_page(self, client_id: str | None, origin: str | None) -> Application:
        """A public application, known by its page's origin. Raises InvalidClient, or OriginNotAllowed."""
        application = await self.find(client_id) if client_id else None
        if application is None or not application.public:
            raise InvalidClient
        if origin not in application.origins:
            raise OriginNotAllowed
        return application

    async def allowed_origins(self) -> frozenset[str]:
        """Every origin whose pages may call the interface."""
        await self.named(SETTINGS)
        return frozenset(origin for each in self._known.values() if not each.removed for origin in each.origins)
