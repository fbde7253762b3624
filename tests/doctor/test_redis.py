"""The doctor finds what is wrong with Redis: alone, on a cluster, and with an account of least rights."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from push_service.doctor import redis
from push_service.doctor.check import Finding, Verdict
from tests.doctor.conftest import Examine
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.redis_cluster import RedisCluster

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
PARTS = {"bus.reachable", "bus.heard", "bus.slots", "bus.connections"}

pytestmark = pytest.mark.usefixtures("data")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisCluster]:
    made = RedisCluster(tmp_path_factory.mktemp("cluster"))
    try:
        await made.start()
        yield made
    finally:
        made.kill()


def about_the_bus(found: dict[str, Finding]) -> dict[str, Finding]:
    return {name: each for name, each in found.items() if name.startswith("bus.")}


async def test_a_server_that_is_well(shared_redis: RedisServer, examine: Examine) -> None:
    found = about_the_bus(await examine(BUS_URL=shared_redis.url))
    assert set(found) == PARTS
    assert {name: each.sentence for name, each in found.items() if each.verdict is not Verdict.OK} == {}
    assert re.search(r"answers, version \d", found["bus.reachable"].sentence)
    assert "A ring is heard" in found["bus.heard"].sentence


async def test_a_server_that_is_away_and_no_password_is_told(examine: Examine) -> None:
    found = about_the_bus(await examine(BUS_URL=f"redis://:swordfish@127.0.0.1:{free_port()}"))
    assert found["bus.reachable"].verdict is found["bus.heard"].verdict is Verdict.FAULT
    assert not any("swordfish" in f"{each.sentence}{each.remedy}" for each in found.values())


async def test_a_server_that_stands_still(
    redis_server: RedisServer, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "SECONDS", 0.5)
    redis_server.pause()
    found = about_the_bus(await examine(BUS_URL=redis_server.url))
    redis_server.resume()
    assert found["bus.reachable"].verdict is found["bus.heard"].verdict is Verdict.FAULT
    assert "no answer in time" in found["bus.reachable"].sentence


async def test_a_wrong_password(redis_server: RedisServer, examine: Examine) -> None:
    await redis_server.command("ACL", "SETUSER", "default", "on", ">open-sesame")
    url = redis_server.url.replace("redis://", "redis://:swordfish@")
    found = (await examine(BUS_URL=url))["bus.reachable"]
    assert (found.verdict, "swordfish" in found.sentence) == (Verdict.FAULT, False)


async def test_the_account_of_the_manual_is_enough_and_one_with_less_is_told(
    redis_server: RedisServer, examine: Examine
) -> None:
    rights = re.findall(r"ACL SETUSER (push-service on >PASSWORD .*?)`", OPERATIONS.read_text().replace("\n", " "))
    await redis_server.command("ACL", "SETUSER", *re.sub(r" +", " ", rights[0]).split(" "))
    url = redis_server.url.replace("redis://", "redis://push-service:PASSWORD@")
    found = about_the_bus(await examine(BUS_URL=url))
    assert {name: each.sentence for name, each in found.items() if each.verdict is not Verdict.OK} == {}
    assert "may not see" in found["bus.connections"].sentence
    await redis_server.command("ACL", "SETUSER", "push-service", "-publish")
    found = about_the_bus(await examine(BUS_URL=url))
    assert (found["bus.heard"].verdict, found["bus.reachable"].verdict) == (Verdict.FAULT, Verdict.OK)
    assert "may not ring or listen" in found["bus.heard"].sentence
    assert "PASSWORD" not in found["bus.heard"].sentence


async def test_a_server_that_takes_too_few_clients(redis_server: RedisServer, examine: Examine) -> None:
    await redis_server.command("CONFIG", "SET", "maxclients", "10")
    few = (await examine(BUS_URL=redis_server.url, WORKERS="8"))["bus.connections"]
    assert (few.verdict, "takes 10 clients" in few.sentence) == (Verdict.FAULT, True)
    assert (await examine(BUS_URL=redis_server.url, WORKERS="2"))["bus.connections"].verdict is Verdict.OK


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cluster_that_is_well_and_one_with_slots_that_nobody_serves(
    cluster: RedisCluster, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = about_the_bus(await examine(BUS_URL=cluster.url))
    assert {name: each.sentence for name, each in found.items() if each.verdict is not Verdict.OK} == {}
    assert "by 3 primaries" in found["bus.slots"].sentence
    assert found["bus.heard"].sentence.count("127.0.0.1") == 3

    await cluster.nodes[0].command("CLUSTER", "DELSLOTS", "7")
    first = f"redis+cluster://127.0.0.1:{cluster.nodes[0].port}"
    missing = (await examine(BUS_URL=first))["bus.slots"]
    await cluster.nodes[0].command("CLUSTER", "ADDSLOTS", "7")
    assert (missing.verdict, "1 of 16384" in missing.sentence) == (Verdict.FAULT, True)

    monkeypatch.setattr(redis, "_OLDEST_CLUSTER", 99)
    assert (await examine(BUS_URL=cluster.url))["bus.reachable"].verdict is Verdict.FAULT


async def test_a_server_that_is_no_cluster_is_told(redis_server: RedisServer, examine: Examine) -> None:
    found = about_the_bus(await examine(BUS_URL=redis_server.url.replace("redis://", "redis+cluster://")))
    assert found["bus.slots"].verdict is found["bus.reachable"].verdict is Verdict.FAULT


@pytest.mark.asyncio(loop_scope="module")
async def test_a_named_node_that_is_away_is_a_warning_while_the_others_serve(
    cluster: RedisCluster, examine: Examine
) -> None:
    found = about_the_bus(await examine(BUS_URL=f"{cluster.url},127.0.0.1:{free_port()}"))
    assert (found["bus.reachable"].verdict, found["bus.heard"].verdict) == (Verdict.WARNING, Verdict.OK)
