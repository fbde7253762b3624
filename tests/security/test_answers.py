"""Answers repeated, misdirected, and by whoever may not answer: S-01 to S-04."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from mobile_stub.forgeries import (
    high_s_twin,
)
from mobile_stub.keys import base64url, digest
from mobile_stub.proofs import Decision
from mobile_stub.wire import Outcome
from tests.conftest import MakeOffice, MakeService
from tests.support.people import Office

from .support import (
    NOT_AUTHENTICATED,
    PATIENCE,
    POLLING,
    answer_path,
    claims,
    header,
    jws,
    proof,
    raw_socket,
    ready_socket,
    scene,
    wrong_number,
)


@pytest.mark.security("S-01")
@pytest.mark.parametrize("decision", list(Decision))
async def test_the_same_answer_again_by_any_way_and_in_any_bytes_gets_the_first_reply_and_counts_once(
    desk: Office, decision: Decision
) -> None:
    async with scene(desk) as stage:
        sign_in, challenge = await stage.ask()
        number = sign_in.number if decision is Decision.VERIFY else None
        token = stage.phone.sign(challenge, decision, number)
        first = await stage.post(challenge.id, token)
        assert first.status == 200
        before = stage.dump()
        version = (await sign_in.look())["version"]
        anew = stage.phone.sign(challenge, decision, number)
        assert anew != token
        for again in (token, anew, high_s_twin(token)):
            reply = await stage.post(challenge.id, again)
            assert (reply.status, reply.body) == (200, first.body)
        async with ready_socket(stage.browser.session, stage.phone) as socket:
            for again in (token, anew):
                await socket.send(type="answer", ref="r", answer=again)
                assert (await socket.until("outcome"))["outcome"] == first.body["outcome"]
        other = Decision.DENY if decision is Decision.VERIFY else Decision.VERIFY
        different = await stage.post(challenge.id, stage.phone.sign(challenge, other, sign_in.number))
        assert (different.status, different.code) == (409, "too_late")
        assert different.body["state"] == (await sign_in.look())["state"]
        assert stage.dump() == before
        assert (await sign_in.look())["version"] == version
        outcomes = [each for each in stage.audit() if each.kind == "sign_in.outcome"]
        assert [each.sign_in_id for each in outcomes] == [sign_in.id]


@pytest.mark.security("S-01", "S-12")
async def test_the_same_wrong_number_again_is_the_same_refusal_and_one_try(desk: Office) -> None:
    async with scene(desk) as stage:
        sign_in, challenge = await stage.ask()
        wrong = wrong_number(sign_in.number)
        first = await stage.post(challenge.id, stage.phone.sign(challenge, Decision.VERIFY, wrong))
        before = stage.dump()
        again = await stage.post(challenge.id, stage.phone.sign(challenge, Decision.VERIFY, wrong))
        right = await stage.post(challenge.id, stage.phone.sign(challenge, Decision.VERIFY, sign_in.number))
        assert [(each.status, each.code) for each in (first, again, right)] == [
            (403, "wrong_number"),
            (403, "wrong_number"),
            (409, "too_late"),
        ]
        assert right.body["state"] == "failed"
        assert stage.dump() == before
        guard = json.loads(str(before["users"][0][_guard(before["users"][0])]))
        assert guard["failures"]["app_notification"]["in_a_row"] == 1


def _guard(row: tuple[object, ...]) -> int:
    return next(n for n, each in enumerate(row) if isinstance(each, str) and each.startswith("{"))


@pytest.mark.security("S-01", "S-10")
async def test_after_a_restart_an_answer_is_still_known_and_a_proof_still_spent(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service()
    desk = await make_office(service)
    async with scene(desk) as stage:
        sign_in, challenge = await stage.ask()
        token = stage.phone.sign(challenge, Decision.VERIFY, sign_in.number)
        spent = stage.phone.api.proof("GET", "/v1/device")
        assert (await stage.call("GET", "/v1/device", proof=spent)).status == 200
        first = await stage.post(challenge.id, token)
        assert first.body == {"outcome": "completed"}
        await service.kill()
        await service.start()
        again = await stage.call("GET", "/v1/device", proof=spent)
        assert (again.status, again.code) == (401, "invalid_proof")
        for same in (token, stage.phone.sign(challenge, Decision.VERIFY, sign_in.number)):
            reply = await stage.post(challenge.id, same)
            assert (reply.status, reply.body) == (200, first.body)


@pytest.mark.security("S-02")
async def test_an_answer_holds_for_its_own_challenge_only(desk: Office) -> None:
    async with scene(desk) as stage:
        (one, first), (two, second) = await stage.ask(), await stage.ask()
        before = stage.dump()
        honest = claims(stage.phone, second, two.number)
        head, key = header(stage.phone), stage.phone.key
        for name, token in {
            "the first one's whole answer": stage.phone.sign(first, Decision.VERIFY, one.number),
            "the first one's nonce": jws(head, honest | {"nonce": first.nonce}, key),
            "the first one's context": jws(head, honest | {"ctx": digest(first.context)}, key),
            "the first one's id": jws(head, honest | {"challenge_id": first.id}, key),
            "a nonce of the phone's own": jws(head, honest | {"nonce": base64url(b"mine" * 6)}, key),
            "no nonce": jws(head, {name: each for name, each in honest.items() if name != "nonce"}, key),
            "a digest of nothing": jws(head, honest | {"ctx": digest("")}, key),
            "the context itself": jws(head, honest | {"ctx": second.context}, key),
            "another decision": jws(head, honest | {"decision": "approve"}, key),
        }.items():
            reply = await stage.post(second.id, token)
            assert (reply.status, reply.code) == (400, "invalid_answer"), name
            assert stage.dump() == before, name
        refusals = [each for each in stage.audit() if each.kind == "answer.refused"]
        assert len(refusals) == 9
        assert {each.source for each in refusals} == {stage.phone.device_id}
        for sign_in in (one, two):
            assert (await sign_in.look())["state"] == "pending"


@pytest.mark.security("S-02")
async def test_no_kind_of_token_stands_in_for_another(desk: Office) -> None:
    async with scene(desk) as stage:
        done, answered = await stage.ask()
        assert await stage.phone.answer_by_http(answered, Decision.VERIFY, done.number) is Outcome.COMPLETED
        result: str = (await done.outcome())["result"]
        sign_in, challenge = await stage.ask()
        path = answer_path(challenge.id)
        before = stage.dump()
        honest = stage.phone.sign(challenge, Decision.VERIFY, sign_in.number)
        key, said = stage.phone.key, claims(stage.phone, challenge, sign_in.number)
        for name, token in {
            "a proof": stage.phone.api.proof("POST", path),
            "the context": challenge.context,
            "a result": result,
            "an answer under a proof's type": jws(header(stage.phone, typ="device-proof+jwt"), said, key),
            "an answer without a type": jws(header(stage.phone, typ=None), said, key),
            "an answer of type JWT": jws(header(stage.phone, typ="JWT"), said, key),
            "the browser's token": sign_in.token,
        }.items():
            reply = await stage.post(challenge.id, token)
            assert (reply.status, reply.code) == (400, "invalid_answer"), name
        proof_claims = proof(stage.phone, "GET", "/v1/device").split(".")[1]
        for name, token in {
            "an answer": honest,
            "the context": challenge.context,
            "a result": result,
            "the browser's token": sign_in.token,
            "a proof under an answer's type": jws(
                header(stage.phone), base64.urlsafe_b64decode(proof_claims + "=="), key
            ),
        }.items():
            for method, where in (("GET", "/v1/device"), ("GET", "/v1/device/challenges"), ("POST", path)):
                reply = await stage.call(
                    method, where, proof=token, body={"answer": honest} if method == "POST" else None
                )
                assert (reply.status, reply.code) == (401, "invalid_proof"), (name, where)
            async with raw_socket(stage.browser.session) as socket:
                await socket.frame()
                await socket.send(type="authenticate", proof=token)
                assert await socket.close_code() == (NOT_AUTHENTICATED, []), name
        for name, token in {
            "an answer": honest,
            "a result": result,
            "a proof": stage.phone.api.proof("GET", path),
        }.items():
            bearer = {"Authorization": f"Bearer {token}"}
            for where in (f"/v1/sign-ins/{sign_in.id}", "/v1/me"):
                reply = await stage.browser.request("GET", where, headers=bearer)
                assert (reply.status, reply.code) == (401, "invalid_token"), (name, where)
        assert stage.dump() == before


@pytest.mark.security("S-03")
async def test_another_persons_challenge_and_one_that_never_was_are_one_answer(desk: Office) -> None:
    async with scene(desk) as alice, scene(desk) as mallory:
        sign_in, challenge = await alice.ask()
        over, withdrawn = await alice.ask()
        await alice.withdraw(over)
        before = alice.dump(mallory.user)
        bodies = []
        guesses = (
            challenge.id,
            withdrawn.id,
            "ch_" + "A" * 24,
            challenge.id[:-1] + "_",
            "x",
            "..%2f..",
            "%F0%9F%93%B1",
        )
        for guess in guesses:
            said = claims(mallory.phone, challenge, sign_in.number) | {"challenge_id": challenge.id}
            token = jws(header(mallory.phone), said, mallory.phone.key)
            path = f"/v1/device/challenges/{guess}/answer"
            decoded = path.replace("%2f", "/").replace("%F0%9F%93%B1", "\U0001f4f1")
            under = proof(mallory.phone, "POST", decoded)
            reply = await mallory.call("POST", path, proof=under, body={"answer": token})
            if reply.code == "not_found":  # no route reads like this
                continue
            assert (reply.status, reply.code) == (404, "unknown_challenge"), guess
            bodies.append(reply.body)
            assert alice.dump(mallory.user) == before, guess
        assert len(bodies) >= 6
        assert all(each == bodies[0] for each in bodies)
        async with ready_socket(mallory.browser.session, mallory.phone) as socket:
            told = []
            for stolen in (challenge.id, "ch_" + "A" * 24):
                said = claims(mallory.phone, challenge, sign_in.number) | {"challenge_id": stolen}
                await socket.send(type="answer", ref="r", answer=jws(header(mallory.phone), said, mallory.phone.key))
                told.append(await socket.until("error"))
            assert told[0] == told[1] == {"type": "error", "ref": "r", "code": "unknown_challenge"}
        assert alice.dump(mallory.user) == before
        tried = [each for each in mallory.audit() if each.kind == "answer.refused"]
        assert {(each.code, each.source) for each in tried} == {("unknown_challenge", mallory.phone.device_id)}
        assert (await sign_in.look())["state"] == "pending"


@pytest.mark.security("S-04", "S-63")
async def test_a_phone_that_was_removed_hears_and_says_nothing_more_at_once(desk: Office) -> None:
    async with scene(desk) as stage, await desk.phone(stage.user, "Second", setup=POLLING) as second:
        sign_in, challenge = await stage.ask()
        challenges = "/v1/device/challenges"
        waited = f"{challenges}?wait=25&after={(await second.poll()).version}"
        async with ready_socket(stage.browser.session, second) as socket:
            await socket.until("challenge")
            waiting = asyncio.create_task(stage.call("GET", waited, proof=second.api.proof("GET", challenges)))
            token = second.sign(challenge, Decision.VERIFY, sign_in.number)
            await second.remove()
            assert (await socket.close_code())[0] == NOT_AUTHENTICATED
            told = await waiting
            assert (told.status, told.code) == (401, "unknown_device")
        before = stage.dump()
        for reply in (
            await stage.post(challenge.id, token, phone=second),
            await stage.call("GET", "/v1/device/challenges", phone=second),
            await stage.call("PATCH", "/v1/device", phone=second, body={"name": "Back"}),
            await stage.call("DELETE", "/v1/device", phone=second),
        ):
            assert (reply.status, reply.code) == (401, "unknown_device")
        async with raw_socket(stage.browser.session) as socket:
            await socket.authenticate(second)
            assert await socket.close_code() == (NOT_AUTHENTICATED, [])
        assert stage.dump() == before
        assert (await sign_in.look())["state"] == "pending"
        # The same hand with a new key: neither the old answer nor the old name is worth anything.
        async with await desk.phone(stage.user, "Second", setup=POLLING) as again:
            assert again.device_id != second.device_id
            assert (await stage.post(challenge.id, token, phone=again)).code == "invalid_answer"
            assert (await stage.post(challenge.id, token, phone=second)).code == "unknown_device"


@pytest.mark.security("S-04")
async def test_when_the_owner_is_blocked_or_reset_what_was_asked_is_over_for_every_phone(desk: Office) -> None:
    async with scene(desk) as stage:
        sign_in, challenge = await stage.ask()
        await desk.core.administrator.block(stage.user.username)
        async with asyncio.timeout(PATIENCE):
            assert (await sign_in.outcome())["reason"] == "user_blocked"
        before = stage.dump()
        reply = await stage.post(challenge.id, stage.phone.sign(challenge, Decision.VERIFY, sign_in.number))
        assert (reply.status, reply.code, reply.body["state"]) == (409, "too_late", "failed")
        assert stage.dump() == before
        await desk.core.administrator.unblock(stage.user.username)
        sign_in, challenge = await stage.ask()
        async with ready_socket(stage.browser.session, stage.phone) as socket:
            await socket.until("challenge")
            await desk.core.administrator.reset_methods(stage.user.username)
            assert (await socket.close_code())[0] == NOT_AUTHENTICATED
        reply = await stage.post(challenge.id, stage.phone.sign(challenge, Decision.VERIFY, sign_in.number))
        assert (reply.status, reply.code) == (401, "unknown_device")
        assert (await sign_in.look())["state"] == "failed"
