"""What an operator does to people and applications: add, change, block, reset, remove, import.

Every change of a person is a rule, decided by the store; this file looks people up by name, has what is given checked,
and hashes passwords. Called by the command line, and by the administration front-end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from enum import StrEnum
from itertools import islice

import msgspec

from push_service.decisions import Decisions
from push_service.methods import ALL
from push_service.model import ids
from push_service.model.application import ADMINISTRATION, SETTINGS, Application
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.device import Device
from push_service.model.errors import (
    Busy,
    Conflict,
    InvalidRequest,
    NameTaken,
    ServiceError,
    UnknownApplication,
    UnknownUser,
)
from push_service.model.ids import ApplicationId
from push_service.model.method import Methods
from push_service.model.new_application import NewApplication
from push_service.model.new_user import ImportLine, NewUser, check_password
from push_service.model.rules import administration
from push_service.model.user import User, UserState, name_key, registrable_name_key
from push_service.ports import APPLICATIONS, Bus, PasswordChecker, Store

_PAGE = 500


class StateChange(msgspec.Struct, frozen=True):
    """Which state an account was in, and which it is in now."""

    before: UserState
    after: UserState


class IssuedApplication(msgspec.Struct, frozen=True):
    """An application with its secret, which is shown this once; public ones have none."""

    application: Application
    client_secret: str | None


class ImportOutcome(StrEnum):
    """What became of a line."""

    ADDED = "added"
    WOULD_BE_ADDED = "would_be_added"
    REFUSED = "refused"


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one line, and if it was refused, why: the error's code and a sentence."""

    line: int
    username: str
    outcome: ImportOutcome
    code: str | None = None
    detail: str | None = None


class Administrator:
    """The use cases of administration. What was refused changed nothing."""

    def __init__(
        self, store: Store, decisions: Decisions, passwords: PasswordChecker, bus: Bus, methods: Methods = ALL
    ) -> None:
        """Work on this store; `bus` is rung when applications change."""
        self._store, self._decisions, self._passwords, self._bus = store, decisions, passwords, bus
        self._methods = methods

    # --- people ---------------------------------------------------------------------------------------------------

    async def add_user(self, new: NewUser) -> User:
        """Add a person. Raises InvalidRequest, NameTaken, Busy."""
        user = await self._checked(new)
        if new.password is not None:
            user = msgspec.structs.replace(user, password_hash=await self._passwords.hash(new.password))
        data = {"state": user.state.value, "admin": str(user.admin).lower()}
        await self._store.add_user(
            user, Audit(kind=AuditKind.USER_ADDED, actor=Actor.OPERATOR, user_id=user.id, data=data)
        )
        return user

    async def user(self, username: str) -> User:
        """The person of that name. Raises UnknownUser, also for what can't be a name."""
        try:
            key = name_key(username)
        except InvalidRequest as error:
            raise UnknownUser from error
        user = await self._store.user_by_name(key)
        if user is None:
            raise UnknownUser(f"There is no user {username}.")
        return user

    async def users(self, state: UserState | None = None) -> AsyncIterator[User]:
        """Everybody by name, or everybody whose account is in that state."""
        page = await self._store.users("", _PAGE, state)
        while page:
            for user in page:
                yield user
            page = await self._store.users(page[-1].name_key, _PAGE, state)

    async def devices(self, username: str) -> list[Device]:
        """A person's phones, oldest first. Raises UnknownUser."""
        return await self._store.devices((await self.user(username)).id)

    async def set_state(self, username: str, state: UserState) -> StateChange:
        """Set an account's state; `enabled` on a registered person stores `enforced`. Raises UnknownUser."""
        user = await self.user(username)
        after = await self._decisions.decide(
            user.id, lambda snapshot, now: administration.set_state(snapshot, now, state, self._methods)
        )
        return StateChange(user.state, after)

    async def set_password(self, username: str, password: str) -> None:
        """Give a new password; what the old one began ends. Raises UnknownUser, InvalidRequest, Busy."""
        user = await self.user(username)
        check_password(password)
        hashed = await self._passwords.hash(password)
        await self._decisions.decide(user.id, lambda snapshot, now: administration.set_password(snapshot, now, hashed))

    async def block(self, username: str) -> None:
        """Refuse this person every sign-in until unblocked; what is under way ends. Raises UnknownUser."""
        user = await self.user(username)
        await self._decisions.decide(
            user.id, lambda snapshot, now: administration.set_blocked(snapshot, now, blocked=True)
        )

    async def unblock(self, username: str) -> None:
        """Lift a block, and with it every pause that prompts and wrong answers had led to. Raises UnknownUser."""
        user = await self.user(username)
        await self._decisions.decide(
            user.id, lambda snapshot, now: administration.set_blocked(snapshot, now, blocked=False)
        )

    async def reset_methods(self, username: str) -> None:
        """Forget everything that the person registered. Raises UnknownUser."""
        user = await self.user(username)
        await self._decisions.decide(
            user.id, lambda snapshot, now: administration.reset_methods(snapshot, now, self._methods)
        )

    async def delete_app_passwords(self, username: str) -> int:
        """Revoke all of a person's app passwords; says how many there were. Raises UnknownUser."""
        user = await self.user(username)
        return await self._decisions.decide(user.id, administration.delete_app_passwords)

    async def remove_user(self, username: str) -> None:
        """Remove the person with everything that is theirs. Raises UnknownUser."""
        user = await self.user(username)
        await self._decisions.decide(user.id, administration.remove_user)

    async def import_users(
        self, lines: Iterable[ImportLine], *, dry_run: bool, at_once: int = 1
    ) -> AsyncIterator[ImportReport]:
        """Add people, `at_once` at a time: a report a line, in order; each line all or nothing.

        Never changes anybody. A dry run checks everything, and that no name stands in the file twice, and adds nobody.
        """
        seen: set[str] = set()
        rest = iter(lines)
        while several := list(islice(rest, at_once)):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._import(line, seen, dry_run=dry_run)) for line in several]
            for task in tasks:
                yield task.result()

    async def _import(self, line: ImportLine, seen: set[str], *, dry_run: bool) -> ImportReport:
        try:
            new = line.to_new_user()
            key = registrable_name_key(new.username)
            if key in seen:
                raise NameTaken("This name stands in the file already.")
            seen.add(key)
            await (self._checked(new) if dry_run else self._add_patiently(new))
        except ServiceError as error:
            return ImportReport(
                line=line.number,
                username=line.username,
                outcome=ImportOutcome.REFUSED,
                code=error.code,
                detail=error.detail,
            )
        outcome = ImportOutcome.WOULD_BE_ADDED if dry_run else ImportOutcome.ADDED
        return ImportReport(line=line.number, username=new.username, outcome=outcome)

    async def _add_patiently(self, new: NewUser) -> User:
        """Nobody waits for an import: where sign-ins fill the line for hashing, it stands back and comes again."""
        while True:
            try:
                return await self.add_user(new)
            except Busy as error:
                await asyncio.sleep(error.retry_after or 1)

    async def _checked(self, new: NewUser) -> User:
        user = new.to_user()
        if await self._store.user_by_name(user.name_key) is not None:
            raise NameTaken(f"There is a user {new.username} already.")
        return user

    # --- applications ---------------------------------------------------------------------------------------------

    async def add_application(self, new: NewApplication) -> IssuedApplication:
        """Register an application; its secret is returned once and only its digest kept. Raises InvalidRequest."""
        secret = None if new.public else ids.secret_token("cs")
        application = msgspec.structs.replace(new.to_application(), secret_hash=secret and ids.digest(secret))
        await self._put(application, AuditKind.APPLICATION_ADDED)
        return IssuedApplication(application, secret)

    async def applications(self) -> list[Application]:
        """The registered applications that are not removed, by name."""
        kept = [each for each in await self._store.applications() if not each.removed]
        return sorted(kept, key=lambda each: (each.name.casefold(), each.id))

    async def rotate_secret(self, application_id: ApplicationId) -> IssuedApplication:
        """Give an application a new secret; the old one ends at once. Raises UnknownApplication, Conflict if public."""
        application = await self._application(application_id)
        if application.public:
            raise Conflict(f"{application.name} is public: it has no secret.")
        secret = ids.secret_token("cs")
        changed = msgspec.structs.replace(application, secret_hash=ids.digest(secret))
        await self._put(changed, AuditKind.APPLICATION_CHANGED)
        return IssuedApplication(changed, secret)

    async def remove_application(self, application_id: ApplicationId) -> Application:
        """Remove an application: it begins nothing any more. Raises UnknownApplication, Conflict if built in."""
        application = await self._application(application_id)
        removed = msgspec.structs.replace(application, removed=True)
        await self._put(removed, AuditKind.APPLICATION_REMOVED)
        return removed

    async def _application(self, application_id: ApplicationId) -> Application:
        if application_id in {SETTINGS, ADMINISTRATION}:
            raise Conflict(f"The application {application_id} is built in: it stays as it is.")
        application = await self._store.application(application_id)
        if application is None or application.removed:
            raise UnknownApplication(f"There is no application {application_id}.")
        return application

    async def _put(self, application: Application, kind: AuditKind) -> None:
        audit = Audit(kind=kind, actor=Actor.OPERATOR, source=application.id, data={"name": application.name})
        await self._store.put_application(application, audit)
        await self._bus.ring((APPLICATIONS,))
