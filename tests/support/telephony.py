"""What stories about texts and calls share: settings to send by a world's company, and people with phones."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
import msgspec

from mobile_stub.world import World
from push_service.model import ids
from push_service.model.challenge import MethodKind
from push_service.model.decision import Actor, Audit, AuditKind, Decision, MethodSecret
from push_service.model.instant import Instant
from push_service.model.user import Method, Snapshot, User
from tests.support.people import Office

TARGET = "+XX XXXXXXX89"


def telephony_settings(world: World) -> dict[str, str]:
    """The settings by which a server's texts and calls go to this world's phones."""
    return world.carrier.settings(world.url)


async def give_phone(desk: Office, user: User, kind: MethodKind, number: str) -> Method:
    """Register a phone, and have it asked first: as if it had been confirmed long ago. `;ext=N` after the number."""
    method = Method(id=ids.method_id(), kind=kind, target=TARGET)

    def rule(snapshot: Snapshot, now: Instant) -> Decision[None]:
        del now
        known = snapshot.user.guard
        guard = msgspec.structs.replace(
            known, methods=(*known.methods, method), primary=method.id, ever_registered=True
        )
        changed = msgspec.structs.replace(snapshot.user, guard=guard)
        return Decision(
            reply=None,
            user=changed,
            method_secrets=(MethodSecret(method.id, number),),
            audit=(Audit(kind=AuditKind.METHOD_ADDED, actor=Actor.OPERATOR, user_id=user.id),),
        )

    await desk.core.decisions.decide(user.id, rule)
    return method


@dataclass(frozen=True)
class Company:
    """A stub world in a process of its own, by the settings that it prints."""

    settings: dict[str, str]

    async def texts(self, number: str) -> list[str]:
        """The texts that came to this number."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.settings['TELEPHONY__BASE_URL']}/phones") as answer,
        ):
            handsets = (await answer.json())["handsets"]
        return [text["body"] for each in handsets if each["number"] == number for text in each["texts"]]
