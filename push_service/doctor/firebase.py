"""Firebase: whether the credentials are what they have to be, buy a token, and let us send to the app's project.

The last is asked with a message to nobody that is looked at there and not sent. Google's library takes a quarter of a
second to import, so it is imported only where Firebase is set up.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

import aiohttp
import msgspec

from push_service.config import Settings
from push_service.delivery.firebase.settings import GOOGLE, FirebaseOptions
from push_service.doctor.check import Check, Finding, fault, ok, warning
from push_service.model.instant import MICROSECONDS, Instant
from push_service.ports import Wake, WakeOutcome


class _ServiceAccount(msgspec.Struct):
    type: str
    project_id: str
    private_key: str
    client_email: str


class FirebaseCredentials(Check):
    """Whether the file is a service account's. That it is not for everybody to read, the settings see to."""

    name = "firebase.credentials"

    def __init__(self, settings: Settings) -> None:
        """Look at FIREBASE__CREDENTIALS."""
        self._file = settings.firebase.credentials

    async def run(self) -> Finding:
        """See Check."""
        file = self._file
        if file is None:
            return ok(self, "Firebase is not set up: a phone hears of a prompt while its app is open.")
        try:
            account = msgspec.json.decode(file.read_bytes(), type=_ServiceAccount)
        except OSError as problem:
            return fault(self, f"{file} can't be read: {problem.strerror}.", "Mend its path, owner or mode.")
        except (msgspec.DecodeError, msgspec.ValidationError):
            told = f"{file} is not the JSON of a service account."
            return fault(self, told, "Fetch a new key file from the Firebase console, service accounts.")
        if account.type != "service_account":
            told = f"{file} is of type {account.type}, not a service account."
            return warning(self, told, "Fetch a key file from the Firebase console, service accounts.")
        return ok(self, f"{file} is the service account of {account.project_id}.")


class FirebaseToken(Check):
    """Whether an access token can be had with the credentials, and soon enough."""

    name = "firebase.token"

    def __init__(self, options: FirebaseOptions) -> None:
        """Buy one, as the service does."""
        self._options = options

    async def run(self) -> Finding:
        """See Check."""
        from push_service.delivery.firebase.credentials import AccessTokens, NoToken  # noqa: PLC0415 - see the module

        async with aiohttp.ClientSession() as session:
            try:
                tokens = AccessTokens(self._options.credentials, session)
            except (OSError, ValueError) as problem:
                return _unusable(self, problem)
            begun = time.monotonic()
            try:
                await tokens.current()
            except NoToken as problem:
                told = f"No access token can be had with the credentials: {_short(problem)}."
                remedy = "See whether the key still exists in the console, this clock, and the way to its token_uri."
                return fault(self, told, remedy)
            finally:
                await tokens.close()
        seconds = time.monotonic() - begun
        if seconds > self._options.timeout_seconds:
            told = f"An access token takes {seconds:.1f} s, longer than FIREBASE__TIMEOUT_SECONDS."
            return warning(self, told, "See the network on the way to its token_uri.")
        return ok(self, f"An access token was had within {seconds:.1f} s.")


class FirebaseReachable(Check):
    """Whether messages can be sent where BASE_URL leads, for the project of the credentials."""

    name = "firebase.reachable"

    def __init__(self, options: FirebaseOptions) -> None:
        """Have a message looked at, as the service would send it."""
        self._options = options

    async def run(self) -> Finding:
        """See Check."""
        from push_service.delivery.firebase.client import FirebaseMessenger  # noqa: PLC0415 - see the module
        from push_service.delivery.firebase.credentials import NoToken  # noqa: PLC0415

        url = self._options.base_url
        try:
            async with FirebaseMessenger(self._options) as messenger:
                report = await messenger.rehearse(_to_nobody())
        except NoToken:
            return warning(self, "This was not looked at: there is no access token.", "See firebase.token.")
        except (aiohttp.ClientError, TimeoutError) as problem:
            return fault(self, f"{url} does not answer: {_short(problem)}.", "Let this machine out to it (port 443).")
        except (OSError, ValueError) as problem:
            return _unusable(self, problem)
        place = url if url == GOOGLE else f"{url}, which is not Google's,"
        match report.outcome:
            case WakeOutcome.RETRY | WakeOutcome.UNAVAILABLE:
                told = f"{place} is in trouble ({report.code})."
                return warning(self, told, "Ask again later; it is theirs, or a quota.")
            case WakeOutcome.REFUSED if report.code != "invalid_argument":
                told = f"{place} does not let these credentials send: {report.code}."
                return fault(self, told, "See docs/operations.md, Firebase: role, interface, project, APNs key.")
            case _:  # nobody's token is not taken, and that is the answer of one who lets us in
                return ok(self, f"{place} takes messages from these credentials.")


def firebase_checks(settings: Settings) -> Sequence[Check]:
    """What there is to look at: nothing but the credentials, where there are none."""
    options = settings.firebase.to_options()
    return () if options is None else (FirebaseToken(options), FirebaseReachable(options))


def _to_nobody() -> Wake:
    nobody = f"push-service-doctor:{secrets.token_urlsafe(24)}"
    soon = Instant(int((time.time() + 60) * MICROSECONDS))
    return Wake(token=nobody, platform="", id=secrets.token_urlsafe(16), expires_at=soon, seconds=60.0)


def _unusable(check: Check, problem: Exception) -> Finding:
    return warning(check, f"This was not looked at: {_short(problem)}.", "See firebase.credentials.")


def _short(problem: BaseException) -> str:
    said = " ".join(str(problem).split()) or "no answer in time"
    return said[:300]
