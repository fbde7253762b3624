"""Ids, tokens and codes that nobody can guess, and ids that open nothing: S-11."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys

import pytest

from tests.support.people import Office

from .support import scene

_WORKERS, _EACH = 4, 1250
_FORKED = f"""
import base64, json, os, secrets, sys
from push_service.model import ids
from push_service import registrar, drafts
makers = [ids.user_id, ids.sign_in_id, ids.challenge_id, ids.device_id, ids.method_id, ids.application_id,
          lambda: ids.secret_token("bt")]
[make() for make in makers]  # whatever state there is, it is there before the fork
pipes = []
for _ in range({_WORKERS}):
    read, write = os.pipe()
    if os.fork() == 0:
        with os.fdopen(write, "w") as out:
            json.dump([[make() for _ in range({_EACH})] for make in makers], out)
        os._exit(0)
    os.close(write)
    pipes.append(os.fdopen(read))
json.dump([json.load(pipe) for pipe in pipes], sys.stdout)
"""


@pytest.mark.security("S-11")
async def test_ids_and_tokens_of_forked_workers_never_repeat_and_tell_nothing(desk: Office) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _FORKED, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    workers: list[list[list[str]]] = json.loads(out)
    for kind in range(len(workers[0])):
        batches = [worker[kind] for worker in workers]
        made = [each for batch in batches for each in batch]
        assert len(set(made)) == len(made) == _WORKERS * _EACH
        secrets_ = [each.partition("_")[2] for each in made]
        assert min(map(len, secrets_)) >= 22  # 128 bits in base64
        # No order in time, and no part that stays: each place takes nearly every letter in every worker.
        assert all(batch != sorted(batch) and batch != sorted(batch, reverse=True) for batch in batches)
        ascending = sum(a < b for batch in batches for a, b in itertools.pairwise(batch))
        assert 0.4 < ascending / len(made) < 0.6
        for batch in batches:
            tails = [each.partition("_")[2] for each in batch]
            for place in range(21):
                assert len({tail[place] for tail in tails}) >= 56, (made[0], place)
    codes = {(await desk.activation(await desk.person(password=None))).partition("=")[2] for _ in range(20)}
    assert len(codes) == 20
    assert min(map(len, codes)) * 5 >= 112  # base32


@pytest.mark.security("S-11")
async def test_ids_alone_open_nothing(desk: Office) -> None:
    async with scene(desk) as stage:
        sign_in, challenge = await stage.ask()
        other = await stage.browser.begin(stage.user.username)
        before = stage.dump()
        unknown = "si_" + "A" * 24
        bodies = []
        for where in (sign_in.id, unknown):
            for token in (
                sign_in.id,
                challenge.id,
                stage.phone.device_id,
                other.token,
                "x",
                sign_in.token[:-1],
                challenge.nonce,
            ):
                reply = await stage.browser.request(
                    "GET", f"/v1/sign-ins/{where}", headers={"Authorization": f"Bearer {token}"}
                )
                assert (reply.status, reply.code) == (401, "invalid_token"), (where, token)
                bodies.append(reply.body)
        reply = await stage.browser.request("GET", f"/v1/sign-ins/{unknown}", headers=sign_in.bearer)
        assert [reply.body] * len(bodies) == bodies
        bare = await stage.browser.request("GET", f"/v1/sign-ins/{sign_in.id}")
        assert (bare.status, bare.code) == (401, "invalid_token")
        assert stage.dump() == before
