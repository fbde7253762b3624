"""The guards when the ground moves: a store that cannot be written, keys that rotate, files that others could read."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest

from mobile_stub.errors import UnreachableError
from mobile_stub.proofs import Decision
from mobile_stub.surroundings import Reach, Setup
from push_service.model.user import UserState
from tests.conftest import MakeOffice, MakeService
from tests.support.browser import Browser
from tests.support.people import PASSWORD, Office
from tests.support.service import Service

POLLING = Setup(reach=Reach.POLL)
SOON = 60.0
_addresses = (f"192.0.{third}.{fourth}" for third, fourth in itertools.product(range(256), range(1, 255)))


def elsewhere() -> dict[str, Any]:
    """A browser at an address that nobody has asked from yet."""
    return {"client": {"ip": next(_addresses)}}


def database_of(service: Service) -> Path:
    """The file that is the truth."""
    return service.folder / "data" / "push-service.db"


@contextmanager
def held(service: Service) -> Iterator[None]:
    """The store as when its disk hangs: somebody else holds the lock, and no write goes through."""
    with contextlib.closing(sqlite3.connect(database_of(service), timeout=30, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")


# --- S-66: the store is away ----------------------------------------------------------------------------------------


@pytest.mark.security("S-66")
async def test_while_the_store_cannot_be_written_no_guess_is_looked_at_and_counters_hold(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service()
    office = await make_office(service)
    user, locked = await office.person(state=UserState.ENFORCED), await office.person(state=UserState.ENFORCED)
    here = elsewhere()
    async with await office.phone(user, setup=POLLING) as phone, office.browser() as browser, asyncio.timeout(SOON):
        for _ in range(10):
            assert (await browser.post_begin(username=locked.username, password="wrong", **here)).status == 401
        sign_in = await browser.begin(user.username)
        (challenge,) = (await phone.poll()).challenges
        answer = phone.sign(challenge, Decision.VERIFY, sign_in.number)
        before = _audited(service)
        with held(service):
            guesses = [
                browser.post_begin(username=user.username, password=password, **elsewhere())
                for password in (PASSWORD, "wrong password")
            ]
            vouched = browser.post_begin(username=user.username, **elsewhere())
            again = browser.post_begin(username=locked.username, password=PASSWORD, **here)
            proof = {"Authorization": f"Proof {phone.api.proof('POST', _answer_path(challenge.id))}"}
            answering = browser.request("POST", _answer_path(challenge.id), headers=proof, json={"answer": answer})
            replies = await asyncio.gather(*guesses, vouched, again, answering, sign_in.cancel())
            for reply in replies:
                assert (reply.status, reply.code) == (503, "store_unavailable")
                assert int(reply.headers["Retry-After"]) >= 1
            assert (await browser.request("GET", "/livez")).status == 200
            ready = await browser.request("GET", "/readyz")
            assert (ready.status, ready.body["ready"], list(ready.body["failing"])) == (503, False, ["store"])
            assert (await sign_in.look())["state"] == "pending"
        assert _audited(service) == before, "something was decided without the store"
        assert (await browser.request("GET", "/readyz")).status == 200
        still = await browser.post_begin(username=locked.username, password=PASSWORD, **here)
        assert (still.status, still.code) == (429, "too_many_requests")
        assert (await phone.send_by_http(challenge.id, answer)).outcome.value == "completed"
        assert (await sign_in.outcome())["state"] == "approved"


def _answer_path(challenge_id: str) -> str:
    return f"/v1/device/challenges/{challenge_id}/answer"


def _audited(service: Service) -> int:
    with contextlib.closing(sqlite3.connect(database_of(service), timeout=30)) as reader:
        (count,) = reader.execute("SELECT count(*) FROM audit").fetchone()
        return int(count)


@pytest.mark.security("S-66")
async def test_counters_are_in_the_store_and_survive_a_kill(make_service: MakeService, make_office: MakeOffice) -> None:
    service = await make_service()
    office = await make_office(service)
    user, here = await office.person(state=UserState.ENFORCED), elsewhere()
    async with await office.phone(user, setup=POLLING), office.browser() as browser:
        for _ in range(10):
            assert (await browser.post_begin(username=user.username, password="wrong", **here)).status == 401
        for _ in range(5):
            await (await browser.begin(user.username, **elsewhere())).cancel()
        await service.kill()
        await service.start()
        refused = await browser.post_begin(username=user.username, password=PASSWORD, **here)
        assert (refused.status, refused.code) == (429, "too_many_requests")
        assert await browser.muted_for(user.username, **elsewhere()) > 0


# --- S-68: keys and files -------------------------------------------------------------------------------------------


@pytest.mark.security("S-68")
async def test_keys_rotate_under_load_without_a_failed_sign_in(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(POLICY__BEGINS_PER_PERSON="1000/1m")
    office = await make_office(service)
    rotated = asyncio.Event()
    async with office.browser() as browser, asyncio.timeout(SOON), asyncio.TaskGroup() as group:
        signing = [group.create_task(_sign_in_until(office, browser, rotated)) for _ in range(3)]
        await service.json_command("keys", "rotate")
        for _ in range(2):
            await office.core.keyring.rotate()
            await _published(browser, (await office.core.keyring.list())[0].kid)
        rotated.set()
    kids = {kid for task in signing for kid in task.result()}
    assert len(kids) >= 2, "no result was signed by a rotated key"
    async with office.browser() as browser:
        published = await browser.request("GET", "/.well-known/jwks.json")
        assert kids <= {key["kid"] for key in published.body["keys"]}
        assert all("d" not in key for key in published.body["keys"])


async def _published(browser: Browser, kid: str) -> None:
    """Wait until the running server has heard of the key."""
    while kid not in str((await browser.request("GET", "/.well-known/jwks.json")).body):
        pass


async def _sign_in_until(office: Office, browser: Browser, enough: asyncio.Event) -> set[str]:
    """Sign in again and again; each result must verify by the keys published then. The keys that signed."""
    user = await office.person(state=UserState.ENFORCED, password=None)
    kids: set[str] = set()
    last = False
    async with await office.phone(user) as phone:
        while not last:
            last = enough.is_set()
            sign_in = await browser.begin(user.username)
            challenge = await phone.next_challenge()
            assert (await phone.verify(challenge, number=sign_in.number)).value == "completed"
            result = (await sign_in.outcome())["result"]
            keys = jwt.PyJWKSet.from_dict((await browser.request("GET", "/.well-known/jwks.json")).body)
            kid = jwt.get_unverified_header(result)["kid"]
            jwt.decode(result, keys[kid], algorithms=["ES256"], audience=browser.app.client_id)
            kids.add(kid)
    return kids


@pytest.mark.security("S-68")
async def test_the_files_are_their_owners_alone(make_service: MakeService) -> None:
    service = await make_service()
    data = service.folder / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    for path in data.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.security("S-68")
async def test_a_server_does_not_start_on_files_that_others_can_read(tmp_path: Path) -> None:
    loose_folder, loose_key, loose_config = (_data_of(tmp_path / name) for name in ("folder", "key", "config"))
    loose_folder.chmod(0o750)
    key, config = loose_key / "secret.key", loose_config / "config.toml"
    key.write_text(_a_key())
    key.chmod(0o604)
    config.write_text(f'encryption_key = "{_a_key()}"\n')
    config.chmod(0o644)
    faults = await asyncio.gather(
        _refused_start(loose_folder), _refused_start(loose_key), _refused_start(loose_config, "--config", str(config))
    )
    for fault, culprit in zip(faults, (loose_folder, key, config), strict=True):
        assert str(culprit) in fault


def _data_of(folder: Path) -> Path:
    data = folder / "data"
    data.mkdir(parents=True, mode=0o700)
    return data


def _a_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


async def _refused_start(data: Path, *arguments: str) -> str:
    """What a server says on standard error that must not start on this data directory."""
    code, out, err = await Service(data.parent).command("serve", *arguments)
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    return err


@pytest.mark.security("S-68")
async def test_another_key_opens_nothing_of_the_database(make_service: MakeService) -> None:
    service = await make_service()
    await service.stop()
    (service.folder / "data" / "secret.key").unlink()
    await _refused_start(service.folder / "data")


@pytest.mark.security("S-68")
async def test_sealed_values_swapped_between_people_do_not_open(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service()
    office = await make_office(service)
    users = [await office.person(state=UserState.ENFORCED) for _ in range(2)]
    phones = [await office.phone(user, setup=POLLING) for user in users]
    secrets_of = {phone.device_id: phone.identity.totp.secret for phone in phones}
    await service.stop()
    one, two = (phone.device_id for phone in phones)
    with contextlib.closing(sqlite3.connect(database_of(service))) as thief, thief:
        rows = dict(thief.execute("SELECT id, totp_secret FROM devices").fetchall())
        thief.execute("UPDATE devices SET totp_secret = ? WHERE id = ?", (rows[one], two))
        thief.execute("UPDATE devices SET totp_secret = ? WHERE id = ?", (rows[two], one))
        assert all(secret.encode() not in rows[device] for device, secret in secrets_of.items())
    await service.start()
    for phone in phones:
        with pytest.raises(UnreachableError):
            await phone.device()
        await phone.aclose()
    assert not any(secret in service.log for secret in secrets_of.values())
