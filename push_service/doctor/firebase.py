"""Firebase: whether the credentials can be read, and are what they have to be."""

from __future__ import annotations

import stat

import msgspec

from push_service.config import Settings
from push_service.doctor.check import Check, Finding, fault, ok, warning

_FOR_EVERYONE = 0o007


class _ServiceAccount(msgspec.Struct):
    type: str
    project_id: str
    private_key: str
    client_email: str


class FirebaseCredentials(Check):
    """Whether the file is a service account's, and not for everybody to read."""

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
        if stat.S_IMODE(file.stat().st_mode) & _FOR_EVERYONE:
            return fault(self, f"{file} holds a secret and can be read by everyone.", f"chmod o-rwx {file}")
        if account.type != "service_account":
            told = f"{file} is of type {account.type}, not a service account."
            return warning(self, told, "Fetch a key file from the Firebase console, service accounts.")
        return ok(self, f"{file} is the service account of {account.project_id}.")
