"""The funnel in figures: how many come how far, and how long each hop takes.

Hears the hops (hops.py). Keeps nothing of a sign-in: every time is the distance of two instants in rows that the teller
has at hand, so memory doesn't grow with the sign-ins under way, and it is right in whichever process a hop falls.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from push_service.hops import Hops, PasswordVerdict
from push_service.model.account_states import Credential
from push_service.model.challenge import Challenge, ChallengeState
from push_service.model.decision import Decision
from push_service.model.ids import SignInId
from push_service.model.instant import Instant, seconds_between
from push_service.model.message import Via
from push_service.model.sign_in import SignIn
from push_service.ports import SendReport, WakeReport

_HOPS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_PEOPLE = (1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 300, 900)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 512)


class Funnel(Hops):
    """Counts and times the hops, in the registry of the other metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Nothing counted yet."""

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"push_service_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...] = _HOPS) -> Histogram:
            return Histogram(f"push_service_{name}", text, buckets=buckets, registry=registry)

        passwords = counter("passwords_checked", "Passwords looked at, by what came of them.", "verdict")
        # Looking a labelled series up takes a lock and a tuple of texts; where there are few they are kept at hand.
        self._passwords = {verdict: passwords.labels(verdict.value) for verdict in PasswordVerdict}
        clients = counter("clients_allowed", "Clients without a second step let in, by credential.", "credential")
        self._clients = {credential: clients.labels(credential.value) for credential in Credential}
        self._put = counter("challenges_put", "Challenges put, by method.", "method")
        self._answers = counter("answers", "Phones' answers that decided, by their outcome.", "outcome")
        self._sent = counter("prompts_sent", "Prompts sent over sockets.")
        self._woken = counter("wakes", "Wake-ups tried, by what came of them.", "outcome", "code")
        self._handed_over = counter(
            "messages_sent", "Texts and calls handed over, by what came of them.", "via", "outcome", "code"
        )
        self._received = counter("prompts_received", "Prompts that a phone said it shows.")
        self._told = counter("browsers_told", "Waits that ended with the outcome, by state.", "state")
        self._refused = counter("errors_answered", "Refusals over HTTP and sockets, by error code.", "code")
        self._store_failed = counter("store_failures", "Commands that the store could not write.")
        self._password_seconds = histogram("password_seconds", "Time to check a password, its wait in line included.")
        self._sent_seconds = histogram("prompt_sent_seconds", "From a challenge to its prompt on a socket.")
        self._woken_seconds = histogram("wake_seconds", "From a call to the push network to its answer.")
        self._handed_over_seconds = histogram("message_seconds", "From a text or call to the provider's answer.")
        self._answered_seconds = histogram("prompt_answered_seconds", "From a challenge to its answer.", _PEOPLE)
        self._told_seconds = histogram("outcome_told_seconds", "From an outcome to the browser that waits for it.")
        self._decision_seconds = histogram("decision_seconds", "Time to decide: queue, rule and commit.")
        self._commit_seconds = histogram("commit_seconds", "Time of one transaction, from its begin to its commit.")
        self._commit_wait_seconds = histogram("commit_wait_seconds", "How long the first command of a commit waited.")
        self._commit_size = histogram("commit_size", "Commands in one commit.", _SIZES)

    def password(self, verdict: PasswordVerdict, seconds: float) -> None:
        """See Hops."""
        self._passwords[verdict].inc()
        if verdict is not PasswordVerdict.BUSY:
            self._password_seconds.observe(seconds)

    def decided(self, decision: Decision[object], seconds: float) -> None:
        """See Hops."""
        self._decision_seconds.observe(seconds)
        for challenge in decision.challenges:
            if challenge.state is ChallengeState.PENDING:
                self._put.labels(challenge.kind.value).inc()
            elif challenge.answered_by is not None and challenge.ended_at is not None:
                self._answers.labels((challenge.reason or challenge.state).value).inc()
                self._answered_seconds.observe(seconds_between(challenge.started_at, challenge.ended_at))

    def sent(self, challenge: Challenge, now: Instant, seconds: float) -> None:
        """See Hops."""
        self._sent.inc()
        self._sent_seconds.observe(seconds + max(0.0, seconds_between(challenge.started_at, now)))

    def woken(self, sign_in_id: SignInId | None, report: WakeReport, seconds: float) -> None:
        """See Hops."""
        self._woken.labels(report.outcome.value, report.code).inc()
        if sign_in_id is not None:
            self._woken_seconds.observe(seconds)

    def handed_over(self, via: Via, report: SendReport, seconds: float) -> None:
        """See Hops."""
        self._handed_over.labels(via.value, report.outcome.value, report.code).inc()
        self._handed_over_seconds.observe(seconds)

    def received(self, challenge: Challenge) -> None:
        """See Hops."""
        del challenge
        self._received.inc()

    def told(self, sign_in: SignIn, now: Instant, *, waited: bool) -> None:
        """See Hops."""
        self._told.labels(sign_in.state.value).inc()
        if waited and sign_in.decided_at is not None:
            self._told_seconds.observe(max(0.0, seconds_between(sign_in.decided_at, now)))

    def refused(self, code: str) -> None:
        """See Hops."""
        self._refused.labels(code).inc()

    def client_allowed(self, credential: Credential) -> None:
        """See Hops."""
        self._clients[credential].inc()

    def batch(self, size: int, waited: float, seconds: float) -> None:
        """See Hops."""
        self._commit_size.observe(size)
        self._commit_wait_seconds.observe(waited)
        self._commit_seconds.observe(seconds)

    def store_failed(self, commands: int) -> None:
        """See Hops."""
        self._store_failed.inc(commands)
