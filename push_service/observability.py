"""Logs and metrics.

Outcomes are counted and logged from the audit records themselves, once they are committed. One event is one line: JSON
escapes whatever a stranger put into a name. No secret is in an audit record, so none is in a log.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import IO, AnyStr, BinaryIO, Generic, TextIO, cast

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from push_service.model.decision import Audit, AuditKind

_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Everything that is measured, in one registry of its own."""

    def __init__(self) -> None:
        """Nothing counted yet."""
        self.registry = CollectorRegistry()
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests = Counter(
            "push_service_http_requests",
            "HTTP requests answered.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "push_service_http_request_seconds",
            "Time from request to answer, waits included.",
            ("route",),
            buckets=_LATENCIES,
            registry=self.registry,
        )
        self._begun = Counter(
            "push_service_sign_ins_begun", "Sign-ins begun, by first state.", ("state",), registry=self.registry
        )
        self._outcomes = Counter(
            "push_service_sign_in_outcomes",
            "Sign-ins that came to their outcome.",
            ("state", "reason"),
            registry=self.registry,
        )
        self._refusals = Counter(
            "push_service_refusals", "Refusals that were recorded.", ("kind", "code"), registry=self.registry
        )
        self._fraud = Counter("push_service_fraud_reports", "Fraud reported by people.", registry=self.registry)
        self._tokens = Counter(
            "push_service_push_tokens_retired", "Push tokens forgotten.", ("code",), registry=self.registry
        )
        self._siblings_missed = Counter(
            "push_service_workers_missed",
            "Workers of this machine that did not give their metrics when this one was scraped.",
            registry=self.registry,
        )
        self._shed = Counter("push_service_begins_shed", "Begins turned away by overload.", registry=self.registry)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Measure a level whenever it is asked for."""
        Gauge(f"push_service_{name}", text, registry=self.registry).set_function(read)

    def counter(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Measure what another part counts, whenever it is asked for."""
        self.registry.register(_CountedElsewhere(f"push_service_{name}", text, read))

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        # Looking a labelled series up takes a lock and a tuple of texts; there are few, so they are kept at hand.
        series = self._series.get((route, method, status))
        if series is None:
            counter, histogram = self._requests.labels(route, method, str(status)), self._seconds.labels(route)
            series = self._series[route, method, status] = (counter, histogram)
        series[0].inc()
        series[1].observe(seconds)

    def sibling_missed(self) -> None:
        """Count a worker whose metrics are missing from a scrape."""
        self._siblings_missed.inc()

    def shed(self) -> None:
        """Count a begin that was turned away because there was too much to do."""
        self._shed.inc()

    def committed(self, audit: Audit) -> None:
        """Count what an audit record says."""
        code = audit.code or ""
        match audit.kind:
            case AuditKind.SIGN_IN_BEGUN:
                self._begun.labels(code).inc()
            case AuditKind.SIGN_IN_OUTCOME:
                self._outcomes.labels(code, audit.data.get("reason", "")).inc()
            case (
                AuditKind.SIGN_IN_REFUSED
                | AuditKind.ANSWER_REFUSED
                | AuditKind.ACTIVATION_REFUSED
                | AuditKind.WEBHOOK_REFUSED
            ):
                self._refusals.labels(audit.kind.value, code).inc()
            case AuditKind.FRAUD_REPORTED:
                self._fraud.inc()
            case AuditKind.PUSH_TOKEN_RETIRED:
                self._tokens.labels(code).inc()
            case _:
                pass

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)


class _CountedElsewhere(Collector):
    """A counter that some part keeps for itself."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name, self._text, self._read = name, text, read

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        return (CounterMetricFamily(self._name, self._text, self._read()),)


_log = structlog.get_logger()
_tracebacks = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
"""Where a defect was, without the variables around it: those hold passwords, tokens and device secrets."""

_ALARMING = frozenset({AuditKind.FRAUD_REPORTED, AuditKind.METHOD_DISABLED})


def log_committed(audit: Audit) -> None:
    """Write a committed record as a log line; what an administrator should see, as a warning."""
    say = _log.warning if audit.kind in _ALARMING else _log.info
    say(
        audit.kind.value,
        actor=audit.actor.value,
        user_id=audit.user_id,
        sign_in_id=audit.sign_in_id,
        code=audit.code,
        source=audit.source,
        **{f"data_{name}": value for name, value in audit.data.items()},
    )


class _Lines(Generic[AnyStr]):
    """Where log lines go. One that can't be written (the disk is full) is lost, and nothing else.

    An outcome is logged after its commit and before anyone is told: nobody may miss it for the log's sake.
    """

    def __init__(self, file: IO[AnyStr]) -> None:
        self._file: IO[AnyStr] = file

    def write(self, line: AnyStr) -> None:
        """Write a line, if that can be done."""
        with contextlib.suppress(OSError):
            self._file.write(line)

    def flush(self) -> None:
        """Hand on what was written, if that can be done."""
        with contextlib.suppress(OSError):
            self._file.flush()


def set_up_logs(level: str, *, json: bool, worker: int | None = None) -> None:
    """Log to standard error, from this level on, as JSON lines or for a terminal.

    One of several workers says in each line which it is.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_json)
        if json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    plain = "%(levelname)s %(name)s %(message)s"
    if worker is not None:
        processors.append(_Signature(worker))
        plain = f"worker={worker} pid={os.getpid()} {plain}"
    if json:
        processors.append(_tracebacks)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(file=cast("BinaryIO", _Lines(sys.stderr.buffer)))
        if json
        else structlog.WriteLoggerFactory(file=cast("TextIO", _Lines(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(threshold, logging.WARNING), stream=sys.stderr, format=plain)


class _Signature:
    """Signs each event with who says it, where there are several."""

    def __init__(self, worker: int) -> None:
        self._worker, self._pid = worker, os.getpid()

    def __call__(self, _: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["worker"], event["pid"] = self._worker, self._pid
        return event


def _json(event: object, **_: object) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)
