"""The signed result, checked by a JOSE library that the service does not use, from the keys that it publishes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet

from push_service.model.user import UserState
from tests.scenarios.cast import scene, soon
from tests.support.browser import Browser
from tests.support.people import PASSWORD, Office


async def verified(browser: Browser, result: str) -> jwt.Token:
    """The token, if a key of the published set signed it."""
    published = await browser.request("GET", "/.well-known/jwks.json")
    assert published.status == 200
    assert all("d" not in each for each in published.body["keys"])
    return jwt.decode(result, KeySet.import_key_set({"keys": published.body["keys"]}), algorithms=["ES256"])


async def test_the_result_says_who_signed_in_where_when_and_by_what(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.approved(nonce="n-0S6_WzA2Mj")
        token = await verified(alice.browser, sign_in.body["result"])
        assert token.header.keys() == {"alg", "typ", "kid"}
        assert (token.header["alg"], token.header["typ"]) == ("ES256", "sign-in-result+jwt")
        claims: dict[str, Any] = dict(token.claims)
        decided = claims.pop("iat")
        assert abs(decided - datetime.fromisoformat(await now(alice.browser)).timestamp()) < 60
        assert claims.pop("jti")
        assert sorted(claims.pop("amr")) == ["mfa", "pwd", "swk"]
        assert claims == {
            "iss": desk.service.url,
            "aud": alice.browser.app.client_id,
            "sub": alice.user.id,
            "preferred_username": alice.user.username,
            "auth_time": decided,
            "exp": decided + 120,
            "sid": sign_in.id,
            "nonce": "n-0S6_WzA2Mj",
        }


async def now(browser: Browser) -> str:
    """The service's time, as a refused proof tells it."""
    refused = await browser.request("GET", "/v1/device", headers={"Authorization": "Proof x.y.z"})
    assert (refused.status, refused.code) == (401, "invalid_proof")
    found: str = refused.body["server_time"]
    return found


async def test_without_a_nonce_there_is_none_and_each_sign_in_has_a_result_of_its_own(desk: Office) -> None:
    async with scene(desk) as alice:
        first, second = await alice.approved(), await alice.approved()
        one = dict((await verified(alice.browser, first.body["result"])).claims)
        two = dict((await verified(alice.browser, second.body["result"])).claims)
        assert "nonce" not in one
        assert one["jti"] != two["jti"]
        assert one["sid"] != two["sid"]


async def test_hearing_is_not_consuming_and_every_reading_tells_the_same_claims(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.approved()
        first = await verified(alice.browser, sign_in.body["result"])
        again = await verified(alice.browser, (await sign_in.look())["result"])
        assert dict(first.claims) == dict(again.claims)


async def test_a_vouched_sign_in_was_not_verified_by_two_factors(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.approved(password=None)
        assert (await verified(alice.browser, sign_in.body["result"])).claims["amr"] == ["swk"]


async def test_a_lone_password_is_no_second_factor(desk: Office) -> None:
    user = await desk.person(state=UserState.DISABLED)
    async with desk.browser() as browser:
        sign_in = await browser.begin(user.username, PASSWORD)
        assert (await verified(browser, (await soon(sign_in.outcome()))["result"])).claims["amr"] == ["pwd"]


async def test_a_sign_in_for_one_application_is_not_one_for_another(desk: Office) -> None:
    other = await desk.application("Fabrikam")
    async with scene(desk, app=other) as alice:
        sign_in = await alice.approved()
        claims = (await verified(alice.browser, sign_in.body["result"])).claims
        assert claims["aud"] == other.client_id
        assert sign_in.body["application"] == "Fabrikam"
