"""An administrator's bypass in the wrong hands, too late, or for oneself (S-61, S-27)."""

from __future__ import annotations

import msgspec
import pytest

from push_service.model.decision import Decision
from push_service.model.errors import Forbidden
from push_service.model.instant import Instant
from push_service.model.user import Snapshot, UserState
from tests.conftest import MakeOffice, MakeService
from tests.scenarios.cast import Scene, scene
from tests.scenarios.test_without_a_method import asking, bypass, other, type_in
from tests.security.support import audit, whole_file
from tests.support.people import PASSWORD, Office


@pytest.mark.security("S-61")
async def test_a_bypass_of_another_person_opens_nothing(desk: Office) -> None:
    async with scene(desk) as alice, scene(desk) as mallory:
        stolen = await bypass(alice)
        await bypass(mallory)
        reply = await type_in(await asking(mallory, "bypass"), stolen)
        assert (reply.status, reply.code) == (403, "wrong_code")
        sign_in = await mallory.begin(PASSWORD)
        method_id = other((await alice.begin(PASSWORD)).body, "bypass")
        assert method_id
        assert (await sign_in.choose(method_id)).code == "unknown_method"
        assert (await type_in(await asking(alice, "bypass"), stolen)).status == 200


@pytest.mark.security("S-61")
async def test_guesses_are_counted_and_end_the_sign_in(desk: Office) -> None:
    async with scene(desk) as alice:
        code = await bypass(alice)
        sign_in = await asking(alice, "bypass")
        for left in range(9, -1, -1):
            reply = await type_in(sign_in, "aaaa-bbbb-cccc-dddd")
            assert (reply.code, reply.body["tries_left"]) == ("wrong_code", left)
        over = await sign_in.look()
        assert (over["state"], over["reason"]) == ("failed", "too_many_tries")
        again = await alice.begin(PASSWORD)
        method_id = other(again.body, "bypass")
        assert method_id
        assert (await again.choose(method_id)).code == "too_many_prompts"
        assert code not in whole_file(desk, "users") + whole_file(desk, "audit") + desk.service.log


@pytest.mark.security("S-61")
async def test_the_command_tells_it_once_and_the_audit_who_issued_it_why_and_that_it_was_used(desk: Office) -> None:
    async with scene(desk) as alice:
        arguments = ("user", "bypass", alice.user.username, "--minutes", "5", "--reason", "lost phone")
        issued = await desk.service.json_command(*arguments)
        assert set(issued) == {"code", "expires_at"}
        code, out, err = await desk.service.command(*arguments)
        assert (code, len(out.strip())) == (0, 19)
        assert "once" in err
        sign_in = await asking(alice, "bypass")
        assert (await type_in(sign_in, issued["code"])).code == "wrong_code"
        assert (await type_in(sign_in, out.strip())).status == 200
        records = [each for each in audit(desk, alice.user) if each.kind == "bypass.issued"]
        assert [each.data["reason"] for each in records] == ["lost phone"] * 2
        assert all(each.data["issuer"] and each.actor == "operator" for each in records)
        used = [each for each in audit(desk, alice.user) if each.data.get("method") == "bypass"]
        assert [each.code for each in used if each.kind == "sign_in.outcome"] == ["approved"]
        for wrong in (("--minutes", "0"), ("--minutes", "1441")):
            assert (await desk.service.command("user", "bypass", "x", *wrong, "--reason", "y"))[0] == 2
        assert (await desk.service.command(*arguments[:-1], " \u200b "))[0] == 1


@pytest.mark.security("S-61")
async def test_nobody_issues_one_to_themselves(desk: Office) -> None:
    async with scene(desk) as alice:
        with pytest.raises(Forbidden):
            await desk.core.recovery.issue_bypass(alice.user, 5, "lost phone", alice.user.id)
        assert other((await alice.begin(PASSWORD)).body, "bypass") is None


@pytest.mark.security("S-61")
async def test_whoever_must_register_does_not_get_around_it(desk: Office) -> None:
    user = await desk.person(state=UserState.ENABLED)
    await desk.core.recovery.issue_bypass(user, 5, "new here", "desk")
    async with desk.browser() as browser:
        begun = await browser.begin(user.username, PASSWORD)
        assert (begun.body["state"], begun.body["methods"]) == ("registration_required", [])


@pytest.mark.security("S-27", "S-61")
async def test_from_its_end_on_a_bypass_is_offered_to_nobody_and_opens_nothing(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    desk = await make_office(await make_service(POLICY__SIGN_IN_SECONDS="600"))
    async with scene(desk) as alice:
        code = await bypass(alice)
        sign_in = await asking(alice, "bypass")
        await end_its_time(alice)
        assert (await type_in(sign_in, code)).code == "wrong_code"
        assert other((await alice.begin(PASSWORD)).body, "bypass") is None


async def end_its_time(alice: Scene) -> None:
    """As if its minutes had gone by: nothing but the instant in the store says when they have."""

    def rule(snapshot: Snapshot, now: Instant) -> Decision[None]:
        user = snapshot.user
        assert user.guard.bypass is not None
        bypass = msgspec.structs.replace(user.guard.bypass, expires_at=now)
        guard = msgspec.structs.replace(user.guard, bypass=bypass)
        return Decision(reply=None, user=msgspec.structs.replace(user, guard=guard))

    await alice.desk.core.decisions.decide(alice.user.id, rule)
