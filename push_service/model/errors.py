"""Every refusal that anyone outside can meet, as one family.

Each class has one stable `code`, one HTTP `status` and one sentence for people. A refusal changes nothing unless its
rule says that it counts a try. Front-ends translate these and nothing else; whatever is not in this tree is a defect
and answers 500.

    ServiceError
    ├── InvalidRequest 400 ── InvalidAnswer · InvalidActivationCode · InvalidKey
    ├── NotAuthenticated 401 ── InvalidClient · InvalidToken · InvalidProof · UnknownDevice ·
    │                           InvalidCredentials (told to a client's application: InvalidClientCredentials 403)
    ├── Forbidden 403 ── FreshSignInRequired · OriginNotAllowed · InvalidSignature · WrongNumber · WrongCode ·
    │                    PurposeNotAllowed · AppPasswordRequired · TwoStepSignInRequired ·
    │                    AppPasswordNotForAdministration · UserBlocked
    ├── NotFound 404 ── UnknownChallenge · UnknownMethod · UnknownEnrolment · UnknownAppPassword · UnknownUser ·
    │                   UnknownApplication
    ├── MethodNotAllowed 405
    ├── Conflict 409 ── TooLate · ChallengeChanged · NoCodeDue · VerificationNotEnabled · RegistrationNeedsPassword ·
    │                   LastMethod · TooManyMethods · NotConfirmed · NotDelivered · NameTaken ·
    │                   RegistrationIncomplete · TooManyAppPasswords · NotRememberable
    ├── BodyTooLarge 413 · UnsupportedMediaType 415 · IdempotencyKeyReused 422
    ├── Throttled 429 ── TooManyRequests · TooManyPending · TooManyPrompts · TooManyWaits
    └── Unavailable 503 ── Busy · StoreUnavailable
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a request: `pointer` is an RFC 6901 JSON pointer into the body."""

    pointer: str
    detail: str


class ServiceError(Exception):
    """A refusal. `detail` says what is wrong this time; it never repeats a secret."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    sentence: ClassVar[str] = "Something went wrong here; it was recorded."

    def __init__(
        self,
        detail: str | None = None,
        *,
        state: str | None = None,
        reported: bool | None = None,
        tries_left: int | None = None,
        server_time: str | None = None,
        retry_after: float | None = None,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        """Make the refusal; the keyword arguments become members of the problem document when given."""
        super().__init__(detail or self.sentence)
        self.detail = detail or self.sentence
        self.state = state
        self.reported = reported
        self.tries_left = tries_left
        self.server_time = server_time
        self.retry_after = retry_after
        self.faults = faults


class InvalidRequest(ServiceError):
    """The request's shape is wrong; nothing was looked at beyond it."""

    status = 400
    code = "invalid_request"
    sentence = "The request is not well formed."


class InvalidAnswer(InvalidRequest):
    """A device's answer whose signature, key, nonce, context or claims don't fit.

    Nothing changes, no try is counted.
    """

    code = "invalid_answer"
    sentence = "The answer is not a valid signed answer to this challenge."


class InvalidActivationCode(InvalidRequest):
    """Unknown, used, replaced or expired: one answer for all, so that guessing learns nothing."""

    code = "invalid_activation_code"
    sentence = "This activation code can't be used."


class InvalidKey(InvalidRequest):
    """The key offered at activation is not an EC P-256 public key, or is bound to a device already."""

    code = "invalid_key"
    sentence = "The device key can't be accepted."


class NotAuthenticated(ServiceError):
    """Whoever asks has not shown who they are."""

    status = 401
    code = "not_authenticated"
    sentence = "Authentication is required."


class InvalidClient(NotAuthenticated):
    """Unknown application, wrong secret, or a public application from an origin that isn't registered."""

    code = "invalid_client"
    sentence = "The application could not be authenticated."


class InvalidToken(NotAuthenticated):
    """A wrong token and an unknown sign-in are one answer."""

    code = "invalid_token"
    sentence = "The token does not open this."


class InvalidCredentials(NotAuthenticated):
    """Wrong or unknown name or password: one answer, in one time."""

    code = "invalid_credentials"
    sentence = "The username or the password is not right."


class InvalidClientCredentials(InvalidCredentials):
    """The same at the door of clients, where 401 would say that the application itself is unknown."""

    status = 403


class InvalidProof(NotAuthenticated):
    """A device proof that doesn't hold; carries `server_time` so that a phone with a wrong clock can correct itself."""

    code = "invalid_proof"
    sentence = "The device's proof is not valid."


class UnknownDevice(NotAuthenticated):
    """The device was removed or never was."""

    code = "unknown_device"
    sentence = "This device is not registered."


class Forbidden(ServiceError):
    """Known, but not allowed."""

    status = 403
    code = "forbidden"
    sentence = "This is not allowed."


class FreshSignInRequired(Forbidden):
    """Settings open only to a recent two-step sign-in that was begun for them."""

    code = "fresh_sign_in_required"
    sentence = "A fresh sign-in with two steps is required for this."


class OriginNotAllowed(Forbidden):
    """A request from a page of another origin, or a change by cookie without `Origin`."""

    code = "origin_not_allowed"
    sentence = "Requests from this origin are not accepted here."


class InvalidSignature(Forbidden):
    """News of a text or call that is not signed as the provider signs. Nothing of it was looked at."""

    code = "invalid_signature"
    sentence = "This is not signed by the telephony provider."


class WrongNumber(Forbidden):
    """The number typed on the phone isn't the browser's. The sign-in has failed and the try is counted."""

    code = "wrong_number"
    sentence = "That is not the number that the sign-in page shows."


class WrongCode(Forbidden):
    """The code typed isn't the one due. The try is counted."""

    code = "wrong_code"
    sentence = "That code is not right."


class PurposeNotAllowed(Forbidden):
    """The application may not sign clients in for this purpose."""

    code = "purpose_not_allowed"
    sentence = "This application may not sign anyone in for this purpose."


class AppPasswordRequired(Forbidden):
    """The ordinary password opens no client of this account any more."""

    code = "app_password_required"
    sentence = "An app password is required here."


class TwoStepSignInRequired(Forbidden):
    """Administration opens to a sign-in with two steps, which no client can show."""

    code = "two_step_sign_in_required"
    sentence = "Administration needs a sign-in with two steps, in a browser."


class AppPasswordNotForAdministration(Forbidden):
    """A valid app password, where none ever opens."""

    code = "app_password_not_for_administration"
    sentence = "An app password never opens administration."


class UserBlocked(Forbidden):
    """The account is blocked."""

    code = "user_blocked"
    sentence = "This account is blocked."


class NotFound(ServiceError):
    """Nothing here."""

    status = 404
    code = "not_found"
    sentence = "There is nothing here."


class UnknownChallenge(NotFound):
    """No such challenge for this device's user; another person's gets the same answer."""

    code = "unknown_challenge"
    sentence = "There is no such challenge."


class UnknownMethod(NotFound):
    """No such method of this person, or one that can't be used now."""

    code = "unknown_method"
    sentence = "There is no such verification method."


class UnknownEnrolment(NotFound):
    """No phone or app is being enrolled by that id in this session: it never was, or that is too long ago."""

    code = "unknown_enrolment"
    sentence = "Nothing is waiting to be confirmed by that id."


class UnknownAppPassword(NotFound):
    """No such app password of this person, or one that is revoked already."""

    code = "unknown_app_password"
    sentence = "There is no such app password."


class UnknownUser(NotFound):
    """No user by that name. Only administrators ever hear this."""

    code = "unknown_user"
    sentence = "There is no such user."


class UnknownApplication(NotFound):
    """No application by that id. Only administrators ever hear this."""

    code = "unknown_application"
    sentence = "There is no such application."


class MethodNotAllowed(ServiceError):
    """The path is known, the HTTP method isn't offered there."""

    status = 405
    code = "method_not_allowed"
    sentence = "This method is not offered here."


class Conflict(ServiceError):
    """Asked of a thing whose state doesn't allow it (any more)."""

    status = 409
    code = "conflict"
    sentence = "The present state does not allow this."


class TooLate(Conflict):
    """The sign-in reached the `state` named before this came."""

    code = "too_late"
    sentence = "This sign-in is already over."


class ChallengeChanged(Conflict):
    """`instead_of` is not the pending challenge any more."""

    code = "challenge_changed"
    sentence = "Another challenge has taken this one's place."


class NoCodeDue(Conflict):
    """The pending challenge isn't answered by typing a code."""

    code = "no_code_due"
    sentence = "No code is expected now."


class VerificationNotEnabled(Conflict):
    """An application vouched for a person whose account takes a password only."""

    code = "verification_not_enabled"
    sentence = "This account is not set up for additional verification."


class RegistrationNeedsPassword(Conflict):
    """Nothing is registered, and registering needs a sign-in with a password."""

    code = "registration_needs_password"
    sentence = "This person must register first, which needs their password."


class LastMethod(Conflict):
    """The last method of an enforced account can't be removed by its owner."""

    code = "last_method"
    sentence = "This is the last verification method of the account."


class TooManyMethods(Conflict):
    """The person has as many phones, or authenticator apps, as can be registered: five of each."""

    code = "too_many_methods"
    sentence = "No more phones or apps can be registered; remove one first."


class NotConfirmed(Conflict):
    """The call has not been answered with # yet: ask again."""

    code = "not_confirmed"
    sentence = "The call has not been confirmed yet."


class NotDelivered(Conflict):
    """The text or call by which a phone is confirmed did not reach it: enrol it again."""

    code = "not_delivered"
    sentence = "The text or call did not reach this number."


class NameTaken(Conflict):
    """A user of that name, or of one that can't be told apart from it, exists."""

    code = "name_taken"
    sentence = "There is a user of that name already."


class RegistrationIncomplete(Conflict):
    """App passwords are for accounts that need a second step and have one."""

    code = "registration_incomplete"
    sentence = "App passwords can be made once registration is complete."


class TooManyAppPasswords(Conflict):
    """The person has as many as they may have."""

    code = "too_many_app_passwords"
    sentence = "There are too many app passwords: delete some first."


class NotRememberable(Conflict):
    """This browser can't be remembered by this sign-in: it wasn't just approved in two steps, or that isn't offered."""

    code = "not_rememberable"
    sentence = "This browser can't be remembered now."


class BodyTooLarge(ServiceError):
    """More than the 64 KiB that any request may have."""

    status = 413
    code = "body_too_large"
    sentence = "The request body is larger than 64 KiB."


class UnsupportedMediaType(ServiceError):
    """Bodies are `application/json`, in UTF-8, uncompressed."""

    status = 415
    code = "unsupported_media_type"
    sentence = "The request body must be application/json in UTF-8."


class IdempotencyKeyReused(ServiceError):
    """The same `Idempotency-Key` came with another body."""

    status = 422
    code = "idempotency_key_reused"
    sentence = "This Idempotency-Key was used for another request."


class Throttled(ServiceError):
    """Too much of something; `retry_after` is in seconds."""

    status = 429
    code = "throttled"
    sentence = "Too many requests."


class TooManyRequests(Throttled):
    """A limit by address or by person and address."""

    code = "too_many_requests"
    sentence = "Too many attempts; try again later."


class TooManyPending(Throttled):
    """The person has as many sign-ins waiting as are allowed at once."""

    code = "too_many_pending"
    sentence = "Too many sign-ins of this person are waiting already."


class TooManyPrompts(Throttled):
    """The person has been asked as often as is allowed, and has no other method."""

    code = "too_many_prompts"
    sentence = "Too many verification requests went unanswered; try again later."


class TooManyWaits(Throttled):
    """More than eight waits on one sign-in at once, at one process."""

    code = "too_many_waits"
    sentence = "Too many requests are waiting for this sign-in."


class Unavailable(ServiceError):
    """Not now; `retry_after` says when to try again."""

    status = 503
    code = "unavailable"
    sentence = "The service can't do this right now."


class Busy(Unavailable):
    """A bounded queue is full (password hashing, or the writer)."""

    code = "busy"
    sentence = "The service is busy; try again in a moment."


class StoreUnavailable(Unavailable):
    """The store can't be read or written: nothing is decided without it."""

    code = "store_unavailable"
    sentence = "The service can't reach its data right now."
