"""Rows to the model's types and back.

The order of columns is that of columns.py; sealed columns are opened and sealed here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from push_service.crypto.sealing import Sealer
from push_service.model.app_password import AppPassword
from push_service.model.application import Application, Clients
from push_service.model.challenge import Challenge, ChallengeState, Delivery, DeliveryState, MethodKind
from push_service.model.decision import MethodSecret, Remembered
from push_service.model.device import Device, DeviceState, PublicKey, UsedActivation
from push_service.model.ids import MethodId, UserId
from push_service.model.instant import Instant, seconds_between
from push_service.model.message import About, KnownMessage, Message, Outgoing, Via
from push_service.model.outbox import Undelivered
from push_service.model.sign_in import Asker, Notice, Reason, SignIn, SignInState
from push_service.model.user import Guard, User, UserState
from push_service.ports import StoredKey

Row = tuple[Any, ...]  # type: ignore[explicit-any]  # rows come untyped from the driver; here they become typed

_decode_guard = msgspec.json.Decoder(Guard).decode
_decode_asker = msgspec.json.Decoder(Asker).decode
_decode_texts: Callable[[str], tuple[str, ...]] = msgspec.json.Decoder(tuple[str, ...]).decode
_encode = msgspec.json.Encoder().encode

_SIGN_IN_STATES = {each.value: each for each in SignInState}
_CHALLENGE_STATES = {each.value: each for each in ChallengeState}
_REASONS: dict[str | None, Reason | None] = {None: None} | {each.value: each for each in Reason}
_NOTICES: dict[str | None, Notice | None] = {None: None} | {each.value: each for each in Notice}
_KINDS = {each.value: each for each in MethodKind}


def text(value: object) -> str:
    """A document as JSON text."""
    return _encode(value).decode()


def delivery_row(delivery: Delivery) -> Row:
    """To `DELIVERY`."""
    return (delivery.challenge_id, delivery.device_id, delivery.next_at, delivery.lease_until)


def message_row(user_id: UserId, message: Message) -> Row:
    """To `MESSAGE`."""
    return (
        message.id,
        user_id,
        message.method_id,
        message.via.value,
        message.about.value,
        message.detail,
        message.expires_at,
        message.lease_until,
    )


def app_password_row(user_id: UserId, password: AppPassword) -> Row:
    """To `APP_PASSWORD_WRITTEN`."""
    return (*msgspec.structs.astuple(password), user_id)


def _place_of(method_id: MethodId) -> str:
    """Where a method's secret is sealed to."""
    return f"method_secrets.value:{method_id}"


class Rows:
    """The mapping, with the sealer that it needs."""

    def __init__(self, sealer: Sealer) -> None:
        """Seal and open with this."""
        self._sealer = sealer

    def user(self, row: Row) -> User:
        """From `USER`."""
        id_, key, username, password_hash, state, admin, version, guard, mobile, office = row
        return User(
            id=id_,
            name_key=key,
            username=username,
            password_hash=password_hash,
            state=UserState(state),
            admin=bool(admin),
            version=version,
            guard=_decode_guard(guard),
            mobile=self._open(mobile, "users.mobile", id_),
            office=self._open(office, "users.office", id_),
        )

    def user_row(self, user: User) -> Row:
        """To `USER`."""
        return (
            user.id,
            user.name_key,
            user.username,
            user.password_hash,
            user.state.value,
            int(user.admin),
            user.version,
            text(user.guard),
            self._seal(user.mobile, "users.mobile", user.id),
            self._seal(user.office, "users.office", user.id),
        )

    def sign_in(self, row: Row) -> SignIn:
        """From `SIGN_IN`."""
        return SignIn(
            id=row[0],
            user_id=row[1],
            application_id=row[2],
            token_hash=row[3],
            state=_SIGN_IN_STATES[row[4]],
            reason=_REASONS[row[5]],
            notice=_NOTICES[row[6]],
            version=row[7],
            challenge_id=row[8],
            begun_at=row[9],
            expires_at=row[10],
            decided_at=row[11],
            asker=_decode_asker(row[12]),
            proven=_decode_texts(row[13]),
            amr=_decode_texts(row[14]),
            result_jti=row[15],
            nonce=row[16],
            registration_hash=row[17],
        )

    def sign_in_row(self, sign_in: SignIn) -> Row:
        """To `SIGN_IN`."""
        return (
            sign_in.id,
            sign_in.user_id,
            sign_in.application_id,
            sign_in.token_hash,
            sign_in.state.value,
            sign_in.reason and sign_in.reason.value,
            sign_in.notice and sign_in.notice.value,
            sign_in.version,
            sign_in.challenge_id,
            sign_in.begun_at,
            sign_in.expires_at,
            sign_in.decided_at,
            text(sign_in.asker),
            text(sign_in.proven),
            text(sign_in.amr),
            sign_in.result_jti,
            sign_in.nonce,
            sign_in.registration_hash,
        )

    def moved_sign_in_row(self, sign_in: SignIn) -> Row:
        """To `MOVED_SIGN_IN`."""
        return (
            sign_in.state.value,
            sign_in.reason and sign_in.reason.value,
            sign_in.notice and sign_in.notice.value,
            sign_in.version,
            sign_in.challenge_id,
            sign_in.expires_at,
            sign_in.decided_at,
            text(sign_in.amr),
            sign_in.result_jti,
            sign_in.registration_hash,
            sign_in.id,
        )

    def challenge(self, row: Row) -> Challenge | None:
        """From `CHALLENGE`; None for the empty side of an outer join."""
        if row[0] is None:
            return None
        return Challenge(
            id=row[0],
            sign_in_id=row[1],
            user_id=row[2],
            method_id=row[3],
            kind=_KINDS[row[4]],
            target=row[5],
            nonce=row[6],
            context=row[7],
            secret=self._open(row[8], "challenges.secret", row[0]),
            digits=row[9],
            state=_CHALLENGE_STATES[row[10]],
            reason=_REASONS[row[11]],
            code=row[12],
            answered_by=row[13],
            answer_digest=row[14],
            started_at=row[15],
            ended_at=row[16],
        )

    def challenge_row(self, challenge: Challenge) -> Row:
        """To `CHALLENGE`."""
        return (
            challenge.id,
            challenge.sign_in_id,
            challenge.user_id,
            challenge.method_id,
            challenge.kind.value,
            challenge.target,
            challenge.nonce,
            challenge.context,
            self._seal(challenge.secret, "challenges.secret", challenge.id),
            challenge.digits,
            challenge.state.value,
            challenge.reason and challenge.reason.value,
            challenge.code,
            challenge.answered_by,
            challenge.answer_digest,
            challenge.started_at,
            challenge.ended_at,
        )

    def ended_challenge_row(self, challenge: Challenge) -> Row:
        """To `ENDED_CHALLENGE`."""
        return (
            challenge.state.value,
            challenge.reason and challenge.reason.value,
            challenge.code,
            challenge.answered_by,
            challenge.answer_digest,
            challenge.ended_at,
            challenge.id,
        )

    def device(self, row: Row) -> Device:
        """From `DEVICE`."""
        id_, user_id, x, y, thumbprint, name, platform, push_token, totp_secret, state, activated_at, token_at = row
        return Device(
            id=id_,
            user_id=user_id,
            key=PublicKey(x, y),
            thumbprint=thumbprint,
            name=name,
            platform=platform,
            push_token=self.push_token(id_, push_token),
            push_token_at=token_at,
            totp_secret=self._open(totp_secret, "devices.totp_secret", id_),
            state=DeviceState(state),
            activated_at=activated_at,
        )

    def device_row(self, device: Device) -> Row:
        """To `DEVICE_WRITTEN`."""
        return (
            device.id,
            device.user_id,
            device.key.x,
            device.key.y,
            device.thumbprint,
            device.name,
            device.platform,
            self._seal(device.push_token, "devices.push_token", device.id),
            self._seal(device.totp_secret, "devices.totp_secret", device.id),
            device.state.value,
            device.activated_at,
            device.push_token_at,
            self.push_token_hash(device.push_token) if device.push_token else None,
        )

    def push_token(self, device_id: str, sealed: bytes | None) -> str | None:
        """A device's push token."""
        return self._open(sealed, "devices.push_token", device_id)

    def push_token_hash(self, token: str) -> str:
        """What a push token is found by: keyed, so that the database doesn't say whether it holds a token one knows."""
        return self._sealer.mac(b"push token\n" + token.encode())

    def undelivered(self, row: Row, now: Instant, lease_until: Instant) -> Undelivered:
        """From `UNDELIVERED`, under the lease that it gets."""
        challenge_id, device_id, attempts, _, user_id, sign_in_id, expires_at, platform, push_token = row
        return Undelivered(
            challenge_id=challenge_id,
            device_id=device_id,
            user_id=user_id,
            sign_in_id=sign_in_id,
            platform=platform,
            push_token=self.push_token(device_id, push_token),
            attempts=attempts,
            lease_until=lease_until,
            expires_at=expires_at,
            seconds=seconds_between(now, expires_at),
        )

    def outgoing(self, row: Row, now: Instant) -> Outgoing:
        """From `OUTGOING`."""
        id_, user_id, username, sign_in_id, method_id, via, about, detail, number, secret, expires_at, _ = row
        return Outgoing(
            id=id_,
            user_id=user_id,
            username=username,
            sign_in_id=sign_in_id,
            method_id=method_id,
            via=Via(via),
            about=About(about),
            detail=detail,
            number=self.method_secret(method_id, number),
            secret=self._open(secret, "challenges.secret", id_),
            seconds=seconds_between(now, expires_at),
        )

    def known_message(self, row: Row) -> KnownMessage:
        """From `KNOWN_MESSAGE`."""
        id_, user_id, method_id, via, about, state, begun, provider_id, expires_at = row
        return KnownMessage(
            id=id_,
            user_id=user_id,
            method_id=method_id,
            via=Via(via),
            about=About(about),
            state=DeliveryState(state),
            begun=bool(begun),
            provider_id=provider_id,
            expires_at=expires_at,
        )

    def method_secret(self, method_id: MethodId, sealed: bytes) -> str:
        """A method's number or secret."""
        return self._sealer.open(sealed, _place_of(method_id))

    def method_secret_row(self, user_id: UserId, secret: MethodSecret) -> Row:
        """To `METHOD_SECRET`."""
        return (secret.method_id, user_id, self._sealer.seal(secret.value, _place_of(secret.method_id)))

    def app_password(self, row: Row) -> AppPassword:
        """From `APP_PASSWORD`."""
        id_, name, created_at, last_used_at, last_used_from = row
        return AppPassword(
            id=id_, name=name, created_at=created_at, last_used_at=last_used_at, last_used_from=last_used_from
        )

    def activation(self, row: Row) -> UsedActivation:
        """From `ACTIVATION`."""
        return UsedActivation(*row)

    def remembered(self, row: Row) -> Remembered:
        """From `REMEMBERED`."""
        return Remembered(*row)

    def application(self, row: Row) -> Application:
        """From `APPLICATION`."""
        id_, name, secret_hash, may_vouch, redirect_uris, origins, removed, clients = row
        return Application(
            id=id_,
            name=name,
            secret_hash=secret_hash,
            may_vouch=bool(may_vouch),
            redirect_uris=_decode_texts(redirect_uris),
            origins=_decode_texts(origins),
            removed=bool(removed),
            clients=Clients(clients),
        )

    def application_row(self, application: Application) -> Row:
        """To `APPLICATION`."""
        return (
            application.id,
            application.name,
            application.secret_hash,
            int(application.may_vouch),
            text(application.redirect_uris),
            text(application.origins),
            int(application.removed),
            application.clients.value,
        )

    def signing_key(self, row: Row) -> StoredKey:
        """From `SIGNING_KEY`."""
        kid, pem, created_at, retired_at = row
        return StoredKey(
            kid=kid, pem=self._sealer.open(pem, f"signing_keys.pem:{kid}"), created_at=created_at, retired_at=retired_at
        )

    def signing_key_row(self, key: StoredKey) -> Row:
        """To `SIGNING_KEY`."""
        return (key.kid, self._sealer.seal(key.pem, f"signing_keys.pem:{key.kid}"), key.created_at, key.retired_at)

    def _seal(self, value: str | None, column: str, row_id: str) -> bytes | None:
        return None if value is None else self._sealer.seal(value, f"{column}:{row_id}")

    def _open(self, value: bytes | None, column: str, row_id: str) -> str | None:
        return None if value is None else self._sealer.open(value, f"{column}:{row_id}")
