"""The metrics of a machine: from whichever worker is asked, of all that answer."""

from __future__ import annotations

import os
import signal

from prometheus_client.parser import text_string_to_metric_families

from push_service.observability import Metrics
from push_service.workers.siblings import merged
from tests.support.service import Service
from tests.support.several import Several
from tests.workers.conftest import measured, until, workers_of


def test_metrics_of_several_are_one_text_that_prometheus_reads_with_each_family_once() -> None:
    one, two = Metrics(), Metrics()
    one.request("/v1/sign-ins/{id}", "GET", 200, 0.002)
    two.request('odd "{route} ', "GET", 200, 0.002)
    text = merged({2: two.text(), 1: one.text()})
    families = list(text_string_to_metric_families(text.decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    requests = {
        (sample.labels["worker"], sample.labels["route"])
        for family in families
        for sample in family.samples
        if sample.name == "push_service_http_requests_total"
    }
    assert requests == {("1", "/v1/sign-ins/{id}"), ("2", 'odd "{route} ')}
    (cpu,) = [family for family in families if family.name == "process_cpu_seconds"]
    assert {sample.labels["worker"] for sample in cpu.samples} == {"1", "2"}


def test_a_family_that_only_a_newer_worker_knows_is_kept() -> None:
    old, new = b"# HELP a_total A.\n# TYPE a_total counter\na_total 1.0\n", b"# HELP b B.\n# TYPE b gauge\nb 2.0\n"
    assert merged({1: old, 2: new}).decode().splitlines() == [
        "# HELP a_total A.",
        "# TYPE a_total counter",
        'a_total{worker="1"} 1.0',
        "# HELP b B.",
        "# TYPE b gauge",
        'b{worker="2"} 2.0',
    ]


async def test_a_sibling_that_does_not_answer_is_counted_and_the_others_are_told(pair: Several) -> None:
    frozen = max(workers_of(pair))
    os.kill(frozen, signal.SIGSTOP)
    try:
        found = await until(lambda: measured(pair, "push_service_workers_missed_total"), lambda each: len(each) == 1)
        (missed,) = found.values()
        assert missed >= 1
    finally:
        os.kill(frozen, signal.SIGCONT)
    await until(lambda: measured(pair, "push_service_workers_missed_total"), lambda each: len(each) == 2)


async def test_one_process_alone_has_no_worker_label(service: Service) -> None:
    async with service.session() as session, session.get("/metrics") as answer:
        text = await answer.text()
    assert "worker=" not in text
    assert "push_service_workers_missed_total 0.0" in text
