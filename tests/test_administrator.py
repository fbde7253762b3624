"""The administrator's use cases, on a real store in a file."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from push_service.administrator import Administrator, ImportOutcome, StateChange
from push_service.bus.local import LocalBus
from push_service.crypto.passwords import Argon2Passwords
from push_service.crypto.sealing import Sealer
from push_service.decisions import Decisions
from push_service.model import ids
from push_service.model.application import SETTINGS
from push_service.model.challenge import MethodKind
from push_service.model.decision import Decision
from push_service.model.errors import Conflict, InvalidRequest, NameTaken, UnknownApplication, UnknownUser
from push_service.model.ids import ApplicationId
from push_service.model.instant import Instant
from push_service.model.new_application import NewApplication
from push_service.model.new_user import ImportLine, NewUser
from push_service.model.user import Method, Snapshot, User, UserState
from push_service.ports import APPLICATIONS
from push_service.store.sqlite.store import SqliteStore

PASSWORD = "correct horse"


class World:
    """An administrator with what stands behind it."""

    def __init__(self, store: SqliteStore, passwords: Argon2Passwords) -> None:
        self.store, self.passwords, self.bus = store, passwords, LocalBus()
        self.decisions = Decisions(store, self.bus)
        self.administrator = Administrator(store, self.decisions, passwords, self.bus)

    async def register_phone(self, user: User) -> None:
        """What an activation leaves in the account, as far as its state depends on it."""
        method = Method(id=ids.method_id(), kind=MethodKind.APP_NOTIFICATION, target="phone")

        def rule(snapshot: Snapshot, _: Instant) -> Decision[None]:
            guard = msgspec.structs.replace(snapshot.user.guard, methods=(method,), primary=method.id)
            return Decision(reply=None, user=msgspec.structs.replace(snapshot.user, guard=guard))

        await self.decisions.decide(user.id, rule)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqliteStore(tmp_path / "x.db", Sealer(bytes(32))))
        passwords = Argon2Passwords(concurrency=2, waiting=0)
        stack.callback(passwords.close)
        yield World(store, passwords)


@pytest.fixture
def administrator(world: World) -> Administrator:
    return world.administrator


async def test_a_person_who_was_added_is_found_whatever_the_case_and_their_password_holds(world: World) -> None:
    added = await world.administrator.add_user(NewUser(username="Alice", password=PASSWORD, admin=True))
    found = await world.administrator.user("ALICE")
    assert (found.id, found.username, found.admin) == (added.id, "Alice", True)
    assert await world.passwords.check(found, PASSWORD)
    assert not await world.passwords.check(found, PASSWORD.upper())


async def test_a_name_that_cannot_be_told_apart_is_taken(administrator: Administrator) -> None:
    await administrator.add_user(NewUser(username="alice"))
    for name in ("alice", "ALICE", "ａｌｉｃｅ"):  # noqa: RUF001 - the look-alike is the point
        with pytest.raises(NameTaken):
            await administrator.add_user(NewUser(username=name))
    assert [user.username async for user in administrator.users()] == ["alice"]


async def test_whoever_is_not_there_is_said_to_be_unknown(administrator: Administrator) -> None:
    for name in ("nobody", "", "no\u202ename"):
        with pytest.raises(UnknownUser):
            await administrator.user(name)
        with pytest.raises(UnknownUser):
            await administrator.set_state(name, UserState.DISABLED)
        with pytest.raises(UnknownUser):
            await administrator.remove_user(name)


async def test_states_change_and_tell_what_they_were(administrator: Administrator) -> None:
    await administrator.add_user(NewUser(username="alice", state=UserState.DISABLED))
    assert await administrator.set_state("alice", UserState.ENABLED) == StateChange(
        UserState.DISABLED, UserState.ENABLED
    )
    assert await administrator.set_state("alice", UserState.ENABLED) == StateChange(
        UserState.ENABLED, UserState.ENABLED
    )
    assert (await administrator.user("alice")).state is UserState.ENABLED


@pytest.mark.security("S-54")
async def test_a_registered_person_cannot_be_merely_enabled(world: World) -> None:
    user = await world.administrator.add_user(NewUser(username="alice", state=UserState.DISABLED))
    await world.register_phone(user)
    changed = await world.administrator.set_state("alice", UserState.ENABLED)
    assert changed == StateChange(UserState.DISABLED, UserState.ENFORCED)
    assert (await world.administrator.user("alice")).state is UserState.ENFORCED


async def test_a_new_password_takes_the_old_ones_place(world: World) -> None:
    await world.administrator.add_user(NewUser(username="alice", password=PASSWORD))
    with pytest.raises(InvalidRequest):
        await world.administrator.set_password("alice", "short")
    await world.administrator.set_password("alice", "another horse")
    user = await world.administrator.user("alice")
    assert await world.passwords.check(user, "another horse")
    assert not await world.passwords.check(user, PASSWORD)


async def test_a_block_holds_until_it_is_lifted(administrator: Administrator) -> None:
    await administrator.add_user(NewUser(username="alice"))
    await administrator.block("alice")
    await administrator.block("alice")
    assert (await administrator.user("alice")).guard.blocked
    await administrator.unblock("alice")
    assert not (await administrator.user("alice")).guard.blocked


async def test_a_reset_leaves_nothing_registered(world: World) -> None:
    user = await world.administrator.add_user(NewUser(username="alice"))
    await world.register_phone(user)
    await world.administrator.reset_methods("alice")
    guard = (await world.administrator.user("alice")).guard
    assert guard.methods == ()
    assert guard.reset_at is not None
    assert await world.administrator.devices("alice") == []


async def test_a_removed_person_is_gone_and_the_name_is_free(administrator: Administrator) -> None:
    first = await administrator.add_user(NewUser(username="alice"))
    await administrator.remove_user("alice")
    with pytest.raises(UnknownUser):
        await administrator.user("alice")
    assert (await administrator.add_user(NewUser(username="alice"))).id != first.id


async def test_everybody_is_listed_by_name_over_any_number_of_pages(
    administrator: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("push_service.administrator._PAGE", 2)
    for name in ("erin", "alice", "dave", "Carol", "bob"):
        state = UserState.DISABLED if name == "dave" else UserState.ENABLED
        await administrator.add_user(NewUser(username=name, state=state))
    assert [user.username async for user in administrator.users()] == ["alice", "bob", "Carol", "dave", "erin"]
    assert [user.username async for user in administrator.users(UserState.DISABLED)] == ["dave"]


LINES = (
    ImportLine(number=2, username="alice", password=PASSWORD, admin="yes"),
    ImportLine(number=3, username="bob", password="short"),
    ImportLine(number=4, username="ALICE", password=PASSWORD),
    ImportLine(number=5, username="carol", state="enforced"),
    ImportLine(number=6, username="there", password=PASSWORD, state="disabled"),
)
REFUSED = {3: "invalid_request", 4: "name_taken", 6: "name_taken"}


@pytest.mark.parametrize("at_once", [1, 4])
async def test_an_import_reports_each_line_in_order_and_adds_the_good_ones(world: World, at_once: int) -> None:
    await world.administrator.add_user(NewUser(username="there"))
    reports = [each async for each in world.administrator.import_users(LINES, dry_run=False, at_once=at_once)]
    assert [report.line for report in reports] == [2, 3, 4, 5, 6]
    assert {report.line: report.code for report in reports if report.outcome is ImportOutcome.REFUSED} == REFUSED
    assert [user.username async for user in world.administrator.users()] == ["alice", "carol", "there"]
    alice, carol = await world.administrator.user("alice"), await world.administrator.user("carol")
    assert alice.admin
    assert await world.passwords.check(alice, PASSWORD)
    assert (carol.state, carol.password_hash) == (UserState.ENFORCED, None)


@pytest.mark.security("S-54")
async def test_an_import_never_changes_anybody_who_is_there(administrator: Administrator) -> None:
    before = await administrator.add_user(NewUser(username="there", password=PASSWORD))
    assert [each async for each in administrator.import_users(LINES, dry_run=False)]
    assert await administrator.user("there") == before


async def test_a_dry_run_says_the_same_and_adds_nobody(administrator: Administrator) -> None:
    await administrator.add_user(NewUser(username="there"))
    reports = [each async for each in administrator.import_users(LINES, dry_run=True, at_once=3)]
    assert {report.line: report.code for report in reports if report.code} == REFUSED
    assert [report.line for report in reports if report.outcome is ImportOutcome.WOULD_BE_ADDED] == [2, 5]
    assert [user.username async for user in administrator.users()] == ["there"]


async def test_an_import_comes_again_where_sign_ins_fill_the_line(world: World) -> None:
    lines = [ImportLine(number=number, username=f"user{number}", password=PASSWORD) for number in range(2, 8)]
    reports = [each async for each in world.administrator.import_users(lines, dry_run=False, at_once=6)]
    assert {report.outcome for report in reports} == {ImportOutcome.ADDED}


async def test_an_application_gets_a_secret_that_is_kept_as_a_digest(world: World) -> None:
    issued = await world.administrator.add_application(NewApplication(name="Mail", may_vouch=True))
    stored = await world.store.application(issued.application.id)
    assert issued.client_secret
    assert stored
    assert stored.secret_hash == ids.digest(issued.client_secret)
    assert stored.may_vouch


async def test_a_public_application_has_no_secret(administrator: Administrator) -> None:
    issued = await administrator.add_application(
        NewApplication(name="Page", public=True, origins=("https://a.example",))
    )
    assert issued.client_secret is None
    assert issued.application.public
    with pytest.raises(Conflict):
        await administrator.rotate_secret(issued.application.id)


async def test_a_rotated_secret_is_another(administrator: Administrator) -> None:
    first = await administrator.add_application(NewApplication(name="Mail"))
    second = await administrator.rotate_secret(first.application.id)
    assert second.application.id == first.application.id
    assert second.client_secret
    assert second.client_secret != first.client_secret
    (listed,) = await administrator.applications()
    assert listed.secret_hash == ids.digest(second.client_secret)


async def test_a_removed_application_is_not_listed_and_unknown(administrator: Administrator) -> None:
    issued = await administrator.add_application(NewApplication(name="Mail"))
    await administrator.remove_application(issued.application.id)
    assert await administrator.applications() == []
    for use in (administrator.remove_application, administrator.rotate_secret):
        with pytest.raises(UnknownApplication):
            await use(issued.application.id)
        with pytest.raises(UnknownApplication):
            await use(ApplicationId("app_unknown"))
        with pytest.raises(Conflict):
            await use(SETTINGS)


async def test_every_change_of_an_application_rings(world: World) -> None:
    rung: list[str] = []
    async with world.bus.attach(APPLICATIONS, lambda: rung.append("applications")):
        issued = await world.administrator.add_application(NewApplication(name="Mail"))
        await world.administrator.rotate_secret(issued.application.id)
        await world.administrator.remove_application(issued.application.id)
        with pytest.raises(UnknownApplication):
            await world.administrator.remove_application(issued.application.id)
    assert rung == ["applications"] * 3
