"""Traces by OpenTelemetry: one for each sign-in, whichever processes its hops fall in.

The trace's id, and that of the span of its begin, are digests of the sign-in's id. So every process knows, without a
word between them, which trace a hop belongs to and below which span it hangs; and the share that is kept (decided by
the trace's id) is the same everywhere. What a caller sends as `traceparent` never becomes this trace: it gets a span of
its own in the caller's, and the two link to each other.

Spans carry the sign-in's id, states and method kinds: no name, no address, no number, no token. They are made after
the fact and handed to a thread that sends them; its queue is bounded, and what doesn't fit is dropped.

Imports OpenTelemetry (the extra `telemetry`), so only `core.py` imports this, and only where traces are asked for.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from push_service.hops import BeginSteps, Hops, PasswordVerdict
from push_service.model.account_states import Credential
from push_service.model.challenge import Challenge
from push_service.model.decision import Decision
from push_service.model.ids import SignInId
from push_service.model.instant import Instant
from push_service.model.message import Via
from push_service.model.sign_in import SignIn
from push_service.ports import SendReport, WakeReport

QUEUE = 4096
EXPORT_EVERY_SECONDS = 1.0
EXPORT_SECONDS = 3.0
"""How long the collector may take; also what an end of the process can be held up by."""

_ID, _STATE, _METHOD = "push_service.sign_in.id", "push_service.sign_in.state", "push_service.method"
_OUTCOME, _CODE = "push_service.wake.outcome", "push_service.wake.code"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NANOSECONDS = 1_000_000_000
_LOW_64 = (1 << 64) - 1


class Traces(Hops):
    """Makes spans of the hops, and hands each hop on."""

    def __init__(self, inner: Hops, endpoint: str, share: float) -> None:
        """Send to this OTLP/HTTP address the traces of that share (0 to 1) of all sign-ins."""
        self._inner = inner
        self._bound = round(share * (_LOW_64 + 1))
        self._ids = _Ids()
        # Whether a span is kept is decided here, by the sign-in's id, and not by the library's sampler.
        resource = Resource.create({"service.name": "push-service", "service.instance.id": str(uuid.uuid4())})
        self._provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=self._ids)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(endpoint, timeout=EXPORT_SECONDS),
                max_queue_size=QUEUE,
                schedule_delay_millis=EXPORT_EVERY_SECONDS * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("push_service")
        self._propagator = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Send what is left, for at most EXPORT_SECONDS; blocks."""
        self._provider.shutdown()

    def password(self, verdict: PasswordVerdict, seconds: float) -> None:
        """See Hops. A wrong password begins no sign-in, so it has no trace."""
        self._inner.password(verdict, seconds)

    def begun(self, sign_in: SignIn, steps: BeginSteps, trace_parent: str | None) -> None:
        """See Hops."""
        self._inner.begun(sign_in, steps, trace_parent)
        place = self._place(sign_in.id)
        caller = self._caller(trace_parent) if trace_parent else None
        if place is None and caller is None:
            return
        now = time.time_ns()
        started = now - _nanoseconds(steps.whole)
        attributes = {_ID: sign_in.id, _STATE: sign_in.state.value}
        links: list[Link] = []
        if caller is not None:
            asked = self._tracer.start_span(
                "begin sign-in",
                set_span_in_context(NonRecordingSpan(caller), Context()),
                SpanKind.SERVER,
                attributes,
                [Link(place.root)] if place else (),
                start_time=started,
            )
            asked.end(now)
            links = [Link(asked.get_span_context())]
        if place is None:
            return
        self._ids.next_trace, self._ids.next_span = place.root.trace_id, place.root.span_id
        root = self._tracer.start_span("begin", Context(), SpanKind.SERVER, attributes, links, start_time=started)
        root.end(now)
        checked = started + _nanoseconds(steps.first_factor)
        self._span(place, "first_factor", {_ID: sign_in.id}, started, checked)

    def decided(self, decision: Decision[object], seconds: float) -> None:
        """See Hops."""
        self._inner.decided(decision, seconds)
        for sign_in in decision.sign_ins:
            self._step("decide", sign_in.id, seconds, {_STATE: sign_in.state.value})

    def sent(self, challenge: Challenge, now: Instant, seconds: float) -> None:
        """See Hops."""
        self._inner.sent(challenge, now, seconds)
        self._step("prompt", challenge.sign_in_id, seconds, {_METHOD: challenge.kind.value})

    def woken(self, sign_in_id: SignInId | None, report: WakeReport, seconds: float) -> None:
        """See Hops."""
        self._inner.woken(sign_in_id, report, seconds)
        if sign_in_id is not None:
            self._step("wake", sign_in_id, seconds, {_OUTCOME: report.outcome.value, _CODE: report.code})

    def handed_over(self, via: Via, report: SendReport, seconds: float) -> None:
        """See Hops. It knows of no sign-in."""
        self._inner.handed_over(via, report, seconds)

    def received(self, challenge: Challenge) -> None:
        """See Hops."""
        self._inner.received(challenge)
        self._step("received", challenge.sign_in_id, 0.0, {_METHOD: challenge.kind.value})

    def answered(self, sign_in_id: SignInId, seconds: float) -> None:
        """See Hops."""
        self._inner.answered(sign_in_id, seconds)
        self._step("answer", sign_in_id, seconds, {})

    def told(self, sign_in: SignIn, now: Instant, *, waited: bool) -> None:
        """See Hops."""
        self._inner.told(sign_in, now, waited=waited)
        since = sign_in.decided_at if waited and sign_in.decided_at is not None else now
        self._step("tell", sign_in.id, max(0, now - since) / 1e6, {_STATE: sign_in.state.value})

    def refused(self, code: str) -> None:
        """See Hops."""
        self._inner.refused(code)

    def client_allowed(self, credential: Credential) -> None:
        """See Hops. It belongs to no sign-in."""
        self._inner.client_allowed(credential)

    def batch(self, size: int, waited: float, seconds: float) -> None:
        """See Hops."""
        self._inner.batch(size, waited, seconds)

    def store_failed(self, commands: int) -> None:
        """See Hops."""
        self._inner.store_failed(commands)

    def _step(self, name: str, sign_in_id: SignInId, seconds: float, attributes: Mapping[str, str]) -> None:
        """A span that ends now, below the begin of its sign-in."""
        place = self._place(sign_in_id)
        if place is not None:
            now = time.time_ns()
            self._span(place, name, {_ID: sign_in_id, **attributes}, now - _nanoseconds(seconds), now)

    def _span(self, place: _Place, name: str, attributes: Mapping[str, str], started: int, ended: int) -> None:
        span = self._tracer.start_span(name, place.below, SpanKind.INTERNAL, attributes, start_time=started)
        span.end(ended)

    def _place(self, sign_in_id: SignInId) -> _Place | None:
        """Where its spans belong; None for a sign-in whose trace is not kept."""
        digest = hashlib.sha256(f"trace\0{sign_in_id}".encode()).digest()
        trace = int.from_bytes(digest[:16])
        if trace & _LOW_64 >= self._bound:
            return None
        root = SpanContext(trace, int.from_bytes(digest[16:24]), is_remote=True, trace_flags=_SAMPLED)
        return _Place(root, set_span_in_context(NonRecordingSpan(root), Context()))

    def _caller(self, trace_parent: str) -> SpanContext | None:
        """The caller's span; None where there is none, or where the caller doesn't keep it."""
        context = get_current_span(
            self._propagator.extract({"traceparent": trace_parent}, Context())
        ).get_span_context()
        return context if context.is_valid and context.trace_flags.sampled else None


class _Place(NamedTuple):
    root: SpanContext
    below: Context


class _Ids(IdGenerator):
    """Random ids, but for the span whose ids were set just before."""

    def __init__(self) -> None:
        self.next_trace = self.next_span = 0
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        chosen, self.next_trace = self.next_trace, 0
        return chosen or self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        chosen, self.next_span = self.next_span, 0
        return chosen or self._random.generate_span_id()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)
