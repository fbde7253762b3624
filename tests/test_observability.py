"""Logs and metrics say what was committed, in lines that no stranger can forge, and never a secret."""

from __future__ import annotations

import io
import json
import secrets
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from push_service import observability
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.ids import SignInId, UserId
from push_service.observability import Metrics, log_committed, set_up_logs


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """As Prometheus itself would read them."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples
    }


def outcome(code: str, **data: str) -> Audit:
    return Audit(kind=AuditKind.SIGN_IN_OUTCOME, actor=Actor.DEVICE, code=code, data=data)


def test_outcomes_are_counted_by_state_and_reason() -> None:
    metrics = Metrics()
    for audit in (outcome("approved"), outcome("approved"), outcome("denied", reason="fraud_reported")):
        metrics.committed(audit)
    name = "push_service_sign_in_outcomes_total"
    found = samples(metrics)
    assert found[name, (("reason", ""), ("state", "approved"))] == 2
    assert found[name, (("reason", "fraud_reported"), ("state", "denied"))] == 1


def test_begins_refusals_and_fraud_are_counted_and_the_rest_is_left_alone() -> None:
    metrics = Metrics()
    for kind in AuditKind:
        metrics.committed(Audit(kind=kind, actor=Actor.BROWSER, code="some_code"))
    found = samples(metrics)
    assert found["push_service_sign_ins_begun_total", (("state", "some_code"),)] == 1
    assert found["push_service_fraud_reports_total", ()] == 1
    refusals = {labels: value for (name, labels), value in found.items() if name == "push_service_refusals_total"}
    refused = (
        AuditKind.SIGN_IN_REFUSED,
        AuditKind.ANSWER_REFUSED,
        AuditKind.ACTIVATION_REFUSED,
        AuditKind.WEBHOOK_REFUSED,
    )
    assert refusals == {(("code", "some_code"), ("kind", kind.value)): 1.0 for kind in refused}


def test_requests_are_counted_with_their_time_by_route() -> None:
    metrics = Metrics()
    for status, seconds in ((200, 0.002), (200, 0.3), (404, 0.001)):
        metrics.request("/v1/sign-ins/{id}", "GET", status, seconds)
    found = samples(metrics)
    route = ("route", "/v1/sign-ins/{id}")
    assert found["push_service_http_requests_total", (("method", "GET"), route, ("status", "200"))] == 2
    assert found["push_service_http_requests_total", (("method", "GET"), route, ("status", "404"))] == 1
    assert found["push_service_http_request_seconds_count", (route,)] == 3
    assert found["push_service_http_request_seconds_bucket", (("le", "0.0025"), route)] == 2


def test_a_level_is_read_when_it_is_asked_for() -> None:
    metrics, level = Metrics(), [1.0]
    metrics.gauge("writes_queued", "Writes queued.", lambda: level[0])
    assert samples(metrics)["push_service_writes_queued", ()] == 1
    level[0] = 7.0
    assert samples(metrics)["push_service_writes_queued", ()] == 7


def test_two_of_them_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.committed(outcome("approved"))
    assert ("push_service_sign_in_outcomes_total", (("reason", ""), ("state", "approved"))) not in samples(other)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """What has been logged, as JSON lines."""
    before, written = structlog.get_config(), io.BytesIO()
    stderr = io.TextIOWrapper(written)
    monkeypatch.setattr(sys, "stderr", stderr)
    set_up_logs("info", json=True)
    monkeypatch.setattr(observability, "_log", structlog.get_logger())
    yield lambda: written.getvalue().decode()
    structlog.configure(**before)


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.split("\n") if line]


@pytest.mark.security("S-49")
def test_a_record_is_one_line_whatever_a_stranger_put_into_it(logged: Callable[[], str]) -> None:
    evil = 'x"\n{"event":"sign_in.outcome","code":"approved"}\r\n\x1b[31m\u2028\u2029\x85'
    log_committed(outcome("denied", browser=evil, reason=evil))
    log_committed(
        Audit(
            kind=AuditKind.FRAUD_REPORTED,
            actor=Actor.DEVICE,
            user_id=UserId("usr_1"),
            sign_in_id=SignInId("si_1"),
            source=evil,
        )
    )
    text = logged()
    assert "\x1b" not in text
    denied, fraud = lines(text)
    assert (denied["event"], denied["code"], denied["level"]) == ("sign_in.outcome", "denied", "info")
    assert denied["data_browser"] == evil
    assert (fraud["event"], fraud["level"], fraud["user_id"], fraud["source"]) == (
        "fraud.reported",
        "warning",
        "usr_1",
        evil,
    )


def test_data_cannot_pose_as_another_member(logged: Callable[[], str]) -> None:
    data = {"event": "approved", "level": "debug", "code": "approved", "timestamp": "1970"}
    log_committed(Audit(kind=AuditKind.SIGN_IN_OUTCOME, actor=Actor.DEVICE, code="denied", data=data))
    (line,) = lines(logged())
    assert (line["event"], line["level"], line["code"]) == ("sign_in.outcome", "info", "denied")
    assert str(line["timestamp"]).startswith("20")


@pytest.mark.security("S-49")
def test_a_defect_is_logged_with_where_it_was_and_without_the_variables_around_it(logged: Callable[[], str]) -> None:
    password = secrets.token_urlsafe()

    def defect(given: str) -> int:
        return len(given) // 0

    try:
        defect(password)
    except ZeroDivisionError:
        structlog.get_logger().exception("request.failed", route="/v1/sign-ins")
    text = logged()
    (line,) = lines(text)
    assert line["event"] == "request.failed"
    assert "ZeroDivisionError" in text
    assert '"defect"' in text
    assert password not in text


def test_what_is_below_the_level_is_left_out(logged: Callable[[], str]) -> None:
    structlog.get_logger().debug("quiet")
    structlog.get_logger().info("heard")
    assert [line["event"] for line in lines(logged())] == ["heard"]
