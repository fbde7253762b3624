"""Several workers on one socket: who starts them, what becomes of those that die, and how all of them end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from push_service.model.user import UserState
from tests.support.browser import Reply
from tests.support.people import office
from tests.support.several import Several
from tests.workers.conftest import PATIENCE_SECONDS, MakeMachine, fetch, measured, until, workers_of

_SEAT = "PUSH_WORKER_SEAT"
REQUESTS = "push_service_http_requests_total"


async def gone(*pids: int) -> None:
    """Wait until these processes have ended."""

    def runs(each: psutil.Process) -> bool:
        return bool(each.info["status"] != psutil.STATUS_ZOMBIE)  # as read while it was there

    async def alive() -> set[int]:
        return {each.pid for each in psutil.process_iter(["status"]) if each.pid in pids and runs(each)}

    await until(alive, lambda left: not left)


async def test_a_sign_in_is_at_home_in_every_worker_and_each_line_says_which_wrote_it(pair: Several) -> None:
    async with office(pair) as desk, desk.browser() as browser:
        alice = await desk.person()
        async with await desk.phone(alice) as phone:

            async def one() -> dict[str, float]:
                """A sign-in, each on connections of its own."""
                async with pair.session() as session:
                    browser.session = session
                    sign_in = await browser.begin(alice.username, headers=None)
                    await phone.verify(await phone.next_challenge(), number=sign_in.number)
                    assert (await sign_in.outcome())["state"] == "approved"
                return await measured(pair, REQUESTS)

            await until(one, lambda found: all(found.get(number, 0) > 3 for number in ("1", "2")))
    lines = [json.loads(line) for line in pair.log.splitlines() if line.startswith("{")]
    wrote = {(line["worker"], line["pid"]) for line in lines if line["event"] == "sign_in.outcome"}
    assert wrote
    assert {pid for _, pid in wrote} <= workers_of(pair)


async def test_a_worker_that_dies_or_is_told_to_end_is_followed_by_another_while_its_sibling_serves(
    pair: Several,
) -> None:
    first, second = sorted(workers_of(pair))

    async def serving() -> dict[str, float]:
        return await measured(pair, "process_start_time_seconds")

    os.kill(first, signal.SIGKILL)
    await until(serving, lambda found: len(found) == 2 and len(workers_of(pair) - {first}) == 2)
    assert second in workers_of(pair)
    assert '"worker.ended"' in pair.log
    os.kill(second, signal.SIGTERM)
    await gone(second)
    await until(serving, lambda found: len(found) == 2 and len(workers_of(pair)) == 2)


@asynccontextmanager
async def _parked(several: Several, count: int = 6) -> AsyncIterator[asyncio.Future[list[Reply]]]:
    """Polls on sign-ins that nobody answers, all of them held; what they will be answered."""
    async with office(several) as desk, desk.browser() as browser:
        alices = [await desk.person(state=UserState.ENFORCED) for _ in range(count)]
        for alice in alices:
            async with await desk.phone(alice):
                pass  # it is known, and switched off
        begun = [await browser.begin(alice.username) for alice in alices]
        polls = asyncio.gather(
            *(
                browser.request(
                    "GET",
                    f"/v1/sign-ins/{each.id}",
                    headers=each.bearer,
                    params={"wait": 60, "after": each.body["version"]},
                )
                for each in begun
            )
        )
        await until(lambda: measured(several, "push_service_listeners"), lambda found: sum(found.values()) >= count)
        yield polls
        for each in begun:
            assert (await each.look())["state"] == "pending"


@pytest.mark.reliability("R-14", "R-15")
async def test_sighup_replaces_workers_one_by_one_or_none_where_the_new_ones_do_not_come_up(
    machine: MakeMachine, tmp_path: Path
) -> None:
    file = tmp_path / "push-service.toml"
    file.write_text("password_hash_waiting = 10\n")
    several = await machine(workers=2, CONFIG=str(file))
    before = workers_of(several)
    statuses = set()

    async def log() -> str:
        statuses.add((await fetch(several, "/readyz"))[0])
        return several.log

    async with _parked(several) as polls:
        file.write_text("password_hash_waiting = -1\n")
        os.kill(several.pid, signal.SIGHUP)
        await until(log, lambda found: '"workers.not_replaced"' in found)
        assert workers_of(several) == before
        assert not polls.done(), "nobody noticed"
        file.write_text("password_hash_waiting = 11\n")
        os.kill(several.pid, signal.SIGHUP)
        await until(log, lambda found: '"workers.replaced"' in found)
        now = workers_of(several)
        assert len(now) == 2
        assert not now & before
        answered = {(reply.status, reply.headers.get("Connection")) for reply in await polls}
        assert answered == {(200, "close")}, "who waits is answered, and comes back elsewhere"
    assert statuses == {200}, "a machine with a worker that serves is ready, whichever of its workers goes"
    assert await several.stop() == 0


async def test_workers_that_die_at_their_start_again_and_again_end_it_with_a_line(tmp_path: Path) -> None:
    several = Several(tmp_path, 2)
    # The program of a version that can't start, called as any other: it ends before it has imported much.
    broken = f"import os, runpy, sys; {_SEAT!r} in os.environ and sys.exit('no such library')"
    called = "sys.argv[1:] = ['serve', '--workers', '2']"
    whole = f"{broken}; {called}; runpy.run_module('tests.support.several', {{}}, '__main__')"
    process = await asyncio.create_subprocess_exec(
        several.program[0], "-c", whole,
        env=several.environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert b"no such library" in err
    assert b"died 3 times in a row at its start, and none serves" in err.splitlines()[-1]


@pytest.mark.reliability("R-15")
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_machine_that_is_to_end_is_not_ready_first_and_a_second_signal_ends_it_hard(
    machine: MakeMachine, workers: int
) -> None:
    several = await machine(workers=workers, DRAIN_SECONDS="300")
    processes = workers_of(several)
    assert (await fetch(several, "/readyz"))[0] == 200
    assert several.process
    several.process.terminate()
    asked = await until(lambda: fetch(several, "/readyz"), lambda answer: answer[0] == 503)
    assert asked[2] == "close"
    assert "is shutting down" in asked[1]
    status, _, connection = await fetch(several, "/livez")
    assert (status, connection) == (200, "close"), "what still comes is served, and sent elsewhere next time"
    several.process.terminate()
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await several.process.wait() == 128 + signal.SIGTERM
    await gone(*processes)


async def test_told_to_end_while_its_workers_start_it_ends_politely(tmp_path: Path) -> None:
    several = Several(tmp_path, 2)
    process = await asyncio.create_subprocess_exec(*several.program, env=several.environment)
    supervisor = psutil.Process(process.pid)

    async def started() -> int:
        return len(supervisor.children())

    await until(started, lambda count: count == 2)
    process.terminate()
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await process.wait() == 0


async def test_workers_do_not_outlive_their_supervisor(machine: MakeMachine) -> None:
    several = await machine(workers=2)
    workers = workers_of(several)
    await several.kill()
    await gone(*workers)
