"""Everything that can go wrong between a phone and the service, as one small family.

::

    PhoneError
    ├── ActivationUriError     the activation URI isn't one
    ├── UnreachableError       no answer from the service (network, time-out, 5xx)
    ├── ProtocolError          the service said something the protocol doesn't know
    ├── UntrustedPromptError   a challenge whose signed context doesn't verify or says something else than the frame
    ├── RefusedError           the service understood and said no: `status`, `code`
    │   ├── InvalidProofError  401 invalid_proof, even with a corrected clock
    │   └── UnknownDeviceError 401 unknown_device: this phone was removed
    └── LineClosedError        the socket ended for good
        ├── NotAuthenticatedError   close code 4401
        └── LineReplacedError       close code 4409: a newer socket of the same phone

A wrong number or a late answer is no error: those are outcomes (`wire.Outcome`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mobile_stub.problems import Problem


class PhoneError(Exception):
    """Base of everything this package raises on purpose."""


class ActivationUriError(PhoneError):
    """The text isn't of the form ``PUBLIC_URL/activate#code=CODE``."""


class UnreachableError(PhoneError):
    """No usable answer came: connection refused or lost, time-out, or a server error (5xx).

    `retry_after` is the service's own wish in seconds, where it named one.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProtocolError(PhoneError):
    """A frame or a body that the device protocol doesn't allow."""


class UntrustedPromptError(PhoneError):
    """A challenge that must not be shown: what the service signed isn't what the frame says, or isn't signed by it."""

    def __init__(self, challenge_id: str, why: str) -> None:
        super().__init__(f"challenge {challenge_id} is not to be trusted: {why}")
        self.challenge_id = challenge_id
        self.why = why


class RefusedError(PhoneError):
    """The service refused a request: `status` is the HTTP status, `problem` what its answer said.

    Frames refused on the socket carry status 0: the socket names a code only.
    """

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.detail or problem.title or status}")
        self.status = status
        self.problem = problem

    @property
    def code(self) -> str:
        """The stable code of the refusal."""
        return self.problem.code


class InvalidProofError(RefusedError):
    """The proof wasn't accepted, and correcting the clock didn't or couldn't help."""


class UnknownDeviceError(RefusedError):
    """The service doesn't know this phone any more."""


class LineClosedError(PhoneError):
    """The socket is closed and won't be opened again by itself."""


class NotAuthenticatedError(LineClosedError):
    """The service closed the socket with 4401: proof not accepted, or the device was removed while connected."""


class LineReplacedError(LineClosedError):
    """The service closed the socket with 4409: another socket of the same phone took its place."""
