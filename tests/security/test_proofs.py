"""A device's proofs hold for one request, about now, once; and ids that nobody can guess: S-09 to S-11."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from datetime import datetime
from urllib.parse import urlsplit

import pytest

from mobile_stub.forgeries import SharedSecret, Unsigned
from mobile_stub.keys import DeviceKey
from mobile_stub.proofs import Decision
from mobile_stub.wire import Outcome
from tests.conftest import MakeOffice, MakeService
from tests.support.people import Office

from .support import PATIENCE, Scene, answer_path, claims, header, jws, proof, scene

MINUTE, YEAR = 60, 365 * 86400

ODD_TIMES: dict[str, object] = {
    "negative": -1,
    "zero": 0,
    "a fraction": time.time() + 0.5,
    "text": str(int(time.time())),
    "1e300": 1e300,
    "-1e300": -1e300,
    "64 bits and more": 2**64,
    "a hundred digits": 10**100,
    "milliseconds": int(time.time() * 1000),
    "true": True,
    "a list": [int(time.time())],
    "an object": {},
}


async def _refused(stage: Scene, name: str, token: str, method: str = "GET", path: str = "/v1/device") -> None:
    reply = await stage.call(method, path, proof=token)
    assert (reply.status, reply.code) == (401, "invalid_proof"), (name, reply)
    told = datetime.fromisoformat(reply.body["server_time"])
    assert abs(told.timestamp() - time.time()) < PATIENCE, name


# --- S-09: at this time -----------------------------------------------------------------------------------------------


@pytest.mark.security("S-09")
async def test_a_proof_beyond_a_minute_is_refused_with_the_servers_time_by_which_the_next_one_goes(
    desk: Office,
) -> None:
    async with scene(desk) as stage:
        before = stage.dump()
        for off in (-YEAR, -10 * MINUTE, -61, 80, 10 * MINUTE, YEAR):
            await _refused(stage, f"{off} s", proof(stage.phone, "GET", "/v1/device", iat=int(time.time()) + off))
        for name, odd in ODD_TIMES.items():
            await _refused(stage, name, proof(stage.phone, "GET", "/v1/device", iat=odd))
        await _refused(stage, "missing", proof(stage.phone, "GET", "/v1/device", iat=None))
        await _refused(stage, "no proof at all", "")
        assert stage.dump() == before
        for off in (-45, 55):
            token = proof(stage.phone, "GET", "/v1/device", iat=int(time.time()) + off)
            assert (await stage.call("GET", "/v1/device", proof=token)).status == 200, off
        stale = await stage.call("GET", "/v1/device", proof=proof(stage.phone, "GET", "/v1/device", iat=12345))
        corrected = int(datetime.fromisoformat(stale.body["server_time"]).timestamp())
        token = proof(stage.phone, "GET", "/v1/device", iat=corrected)
        assert (await stage.call("GET", "/v1/device", proof=token)).status == 200


@pytest.mark.security("S-09")
@pytest.mark.parametrize("skew", [-YEAR, -10 * MINUTE, 10 * MINUTE, YEAR])
async def test_a_phone_whose_clock_is_wrong_corrects_itself_and_approves(desk: Office, skew: float) -> None:
    async with scene(desk, skew=skew) as stage:
        sign_in, challenge = await stage.ask()
        assert await stage.phone.answer_by_http(challenge, Decision.VERIFY, sign_in.number) is Outcome.COMPLETED
        assert (await sign_in.outcome())["state"] == "approved"


@pytest.mark.security("S-09")
async def test_an_answer_is_signed_between_a_minute_before_the_question_and_a_minute_from_now(desk: Office) -> None:
    async with scene(desk) as stage:
        sign_in, challenge = await stage.ask()
        before = stage.dump()
        asked, now = int(challenge.requested_at.timestamp()), int(time.time())
        honest = claims(stage.phone, challenge, sign_in.number)
        odd = (
            ODD_TIMES
            | {f"{off} s before the question": asked + off for off in (-62, -10 * MINUTE, -YEAR)}
            | {f"{off} s from now": now + off for off in (80, 10 * MINUTE, YEAR)}
        )
        for name, value in odd.items():
            token = jws(header(stage.phone), honest | {"iat": value}, stage.phone.key)
            reply = await stage.post(challenge.id, token)
            assert (reply.status, reply.code) == (400, "invalid_answer"), (name, reply)
        bare = {name: value for name, value in honest.items() if name != "iat"}
        assert (await stage.post(challenge.id, jws(header(stage.phone), bare, stage.phone.key))).status == 400
        assert stage.dump() == before
        for iat in (asked - 58, now + 55):
            token = jws(header(stage.phone), honest | {"iat": iat}, stage.phone.key)
            assert (await stage.post(challenge.id, token)).body == {"outcome": "completed"}, iat


@pytest.mark.security("S-09")
async def test_an_answer_dated_before_the_deadline_does_not_undo_the_servers_expiry(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(POLICY__SIGN_IN_SECONDS="3")
    desk = await make_office(service)
    async with scene(desk) as stage:
        sign_in, challenge = await stage.ask()
        early = claims(stage.phone, challenge, sign_in.number) | {"iat": int(challenge.requested_at.timestamp())}
        assert (await sign_in.outcome())["state"] == "expired"
        reply = await stage.post(challenge.id, jws(header(stage.phone), early, stage.phone.key))
        assert (reply.status, reply.code, reply.body["state"]) == (409, "too_late", "expired")
        assert (await sign_in.look())["state"] == "expired"


# --- S-10: for one request, once --------------------------------------------------------------------------------------


@pytest.mark.security("S-10")
async def test_of_one_proof_sent_many_times_at_once_exactly_one_is_taken(desk: Office) -> None:
    async with scene(desk) as stage:
        for _ in range(5):
            token = stage.phone.api.proof("PATCH", "/v1/device")
            names = [f"Name {n}" for n in range(8)]
            replies = await asyncio.gather(
                *(stage.call("PATCH", "/v1/device", proof=token, body={"name": name}) for name in names)
            )
            taken = [reply.body["name"] for reply in replies if reply.status == 200]
            assert sorted(reply.status for reply in replies) == [200] + [401] * 7
            assert {reply.code for reply in replies if reply.status == 401} == {"invalid_proof"}
            assert (await stage.phone.device()).name == taken[0]
        # Another proof by the same id is the same proof, whatever else it says.
        spent = proof(stage.phone, "GET", "/v1/device", jti="once")
        assert (await stage.call("GET", "/v1/device", proof=spent)).status == 200
        await _refused(stage, "same id", proof(stage.phone, "GET", "/v1/device", jti="once", iat=int(time.time()) + 30))


@pytest.mark.security("S-10")
async def test_a_proof_holds_for_its_own_method_and_address_only(desk: Office) -> None:
    async with scene(desk) as stage:
        sign_in, challenge = await stage.ask()
        before = stage.dump()
        url = f"{stage.phone.identity.issuer}/v1/device"
        host = urlsplit(url).netloc
        port = host.partition(":")[2]
        for htm in ("DELETE", "get", "HEAD", "*", "", 1, ["GET"], None):
            await _refused(stage, f"htm {htm!r}", proof(stage.phone, "GET", "/v1/device", htm=htm))
        await _refused(stage, "htm of a look, to remove", proof(stage.phone, "GET", "/v1/device"), "DELETE")
        for htu in (
            url.replace(host, "evil.example"),
            url.replace(host, f"evil.example:{port}"),
            url.replace(host, f"127.0.0.1:{port}"),
            url.replace(host, "localhost"),
            url.replace(host, f"localhost:{int(port) + 1}"),
            url.replace(host, f"user@{host}"),
            url.replace("localhost", "LOCALHOST"),
            url.replace("localhost", "localhost."),
            url.replace("http:", "https:"),
            url.replace("http:", "HTTP:"),
            url.replace("http:", "ws:"),
            url.replace("/device", "/Device"),
            url.replace("/device", "/d%65vice"),
            url.replace("/v1", "//v1"),
            url.replace("/v1", "/x/../v1"),
            f"{url}/",
            f"{url}s",
            f"{url}?",
            f"{url}?a=b",
            f"{url}#",
            f" {url}",
            f"{url}\n",
            "/v1/device",
            "",
            "*",
            1,
            [url],
            None,
        ):
            await _refused(stage, f"htu {htu!r}", proof(stage.phone, "GET", "/v1/device", htu=htu))
        other = answer_path("ch_" + "A" * 24)
        honest = stage.phone.sign(challenge, Decision.VERIFY, sign_in.number)
        path = answer_path(challenge.id)
        reply = await stage.call("POST", path, proof=proof(stage.phone, "POST", other), body={"answer": honest})
        assert (reply.status, reply.code) == (401, "invalid_proof")
        odd_ids: tuple[object, ...] = ("", "x" * 257, 1, ["x"], {}, None)
        for jti in odd_ids:
            await _refused(stage, f"jti {str(jti)[:20]!r}", proof(stage.phone, "GET", "/v1/device", jti=jti))
        assert stage.dump() == before
        assert (await sign_in.look())["state"] == "pending"
        with_query = await stage.browser.request(
            "GET",
            "/v1/device/challenges?wait=0",
            headers={"Authorization": f"Proof {proof(stage.phone, 'GET', '/v1/device/challenges')}"},
        )
        assert with_query.status == 200


@pytest.mark.security("S-05", "S-07", "S-10")
async def test_a_proof_is_signed_by_the_key_of_the_device_that_it_names_with_the_one_algorithm(desk: Office) -> None:
    async with scene(desk) as stage, scene(desk) as mallory:
        before = stage.dump(mallory.user)
        phone, stray = stage.phone, DeviceKey.generate()
        said = json.loads(_payload(proof(phone, "GET", "/v1/device")))
        head = {"alg": "ES256", "typ": "device-proof+jwt", "kid": phone.device_id}
        own = {"kty": "EC", "crv": "P-256", "x": stray.jwk().x, "y": stray.jwk().y}
        for name, token in {
            "none": jws(head | {"alg": "none"}, said, Unsigned()),
            "HS256 with x": jws(head | {"alg": "HS256"}, said, SharedSecret(phone.key.jwk().x.encode())),
            "a stray key": jws(head, said, stray),
            "a stray key that the header brings along": jws(head | {"jwk": own}, said, stray),
            "its own key, and a stray one in the header": jws(head | {"jwk": own}, said, phone.key),
            "another person's key": jws(head, said, mallory.phone.key),
            "another person's device": jws(head | {"kid": mallory.phone.device_id}, said, phone.key),
            "jku": jws(head | {"jku": "http://127.0.0.1:9/"}, said, phone.key),
            "no kid": jws({"alg": "ES256", "typ": "device-proof+jwt"}, said, phone.key),
            "crit": jws(head | {"crit": ["x"]}, said, phone.key),
            "an answer's type": jws(head | {"typ": "device-answer+jwt"}, said, phone.key),
            "type JWT": jws(head | {"typ": "JWT"}, said, phone.key),
            "type DPoP": jws(head | {"typ": "dpop+jwt"}, said, phone.key),
            "claim twice": jws(head, json.dumps(said).replace("{", '{"htm":"DELETE",', 1).encode(), phone.key),
            "not a token": "abc",
            "two tokens": f"{proof(phone, 'GET', '/v1/device')} {proof(phone, 'GET', '/v1/device')}",
        }.items():
            await _refused(stage, name, token)
        for kid in ("dev_" + "A" * 24, "x", "' OR 1=1 --", "../../x"):
            reply = await stage.call("GET", "/v1/device", proof=jws(head | {"kid": kid}, said, phone.key))
            assert (reply.status, reply.code) == (401, "unknown_device"), kid
        for scheme in ("Bearer", "DPoP", "Basic", ""):
            good = {"Authorization": f"{scheme} {proof(phone, 'GET', '/v1/device')}"}
            reply = await stage.browser.request("GET", "/v1/device", headers=good)
            assert (reply.status, reply.code) == (401, "invalid_proof"), scheme
        assert stage.dump(mallory.user) == before


def _payload(token: str) -> bytes:
    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
