"""Registering and removing what a person verifies with.

Confirming the first method does four things in one transaction: it becomes primary, the account becomes enforced, the
sign-in that led here goes on with a challenge, and the person's other unregistered sign-ins end.
"""

from __future__ import annotations

import msgspec

from push_service.model.challenge import MethodKind
from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.device import Device, UsedActivation
from push_service.model.errors import InvalidActivationCode, LastMethod, UnknownDevice, UnknownMethod
from push_service.model.ids import DeviceId, MethodId, SignInId
from push_service.model.instant import Instant
from push_service.model.method import Draft, Methods, registered_methods
from push_service.model.policy import Policy
from push_service.model.rules.ask import ask_first
from push_service.model.rules.changes import Changes
from push_service.model.rules.unverifiable import end_unverifiable
from push_service.model.sign_in import Notice, Reason, SignIn, SignInEvent, SignInState
from push_service.model.user import (
    Activation,
    EnrolledDevice,
    Guard,
    Method,
    Snapshot,
    UserState,
)


class NewDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device whose proof over the activation code was right, and what it will be verified by."""

    device: Device
    code_hash: str
    notification_id: MethodId
    code_id: MethodId
    draft: Draft | None
    """The challenge with which a waiting sign-in goes on; None where no sign-in waits for this code."""


def issue_activation(
    snapshot: Snapshot, now: Instant, activation: Activation, actor: Actor, source: str | None
) -> Decision[None]:
    """Open an activation code; the one before it, if unused, is void from now on."""
    changes = Changes(snapshot, now)
    if activation.sign_in_id is not None and not _registering(changes, activation.sign_in_id):
        return changes.refuse(
            InvalidActivationCode(), Audit(kind=AuditKind.ACTIVATION_REFUSED, actor=actor, source=source)
        )
    changes.update_guard(activation=activation)
    changes.activation = UsedActivation(
        activation.code_hash, snapshot.user.id, activation.expires_at, activation.sign_in_id
    )
    changes.record(
        Audit(kind=AuditKind.ACTIVATION_ISSUED, actor=actor, sign_in_id=activation.sign_in_id, source=source)
    )
    return changes.decision(None)


def activate(
    snapshot: Snapshot, now: Instant, new: NewDevice, methods: Methods, policy: Policy, source: str | None
) -> Decision[Device]:
    """Bind a device by an open activation code, once."""
    changes = Changes(snapshot, now)
    opened = changes.guard.activation
    fits = opened is not None and opened.code_hash == new.code_hash and now < opened.expires_at
    waiting = opened.sign_in_id if opened else None
    if not fits or opened is None or (waiting and not _registering(changes, waiting)):
        return changes.refuse(
            InvalidActivationCode(), Audit(kind=AuditKind.ACTIVATION_REFUSED, actor=Actor.DEVICE, source=source)
        )
    device, guard = new.device, changes.guard
    notification = Method(
        id=new.notification_id, kind=MethodKind.APP_NOTIFICATION, target=device.name, device_id=device.id
    )
    code = Method(id=new.code_id, kind=MethodKind.APP_CODE, target=device.name, device_id=device.id)
    registered_before = bool(registered_methods(guard, methods))
    changes.update_guard(
        methods=(*guard.methods, notification, code),
        devices=(*guard.devices, EnrolledDevice(device.id, device.thumbprint, device.name)),
        primary=guard.primary if registered_before else notification.id,
        activation=None,
        ever_registered=True,
        failures={kind: each for kind, each in guard.failures.items() if kind is not MethodKind.APP_NOTIFICATION},
    )
    changes.enforce()
    changes.device = device
    changes.activation = UsedActivation(
        opened.code_hash, snapshot.user.id, opened.expires_at, waiting, device.thumbprint, device.id
    )
    changes.record(
        Audit(
            kind=AuditKind.DEVICE_ADDED,
            actor=Actor.DEVICE,
            sign_in_id=waiting,
            source=source,
            data={"device": device.id, "platform": device.platform},
        )
    )
    for each in changes.live:
        if each.sign_in.state is not SignInState.REGISTRATION_REQUIRED:
            continue
        if each.sign_in.id == waiting and new.draft:
            _go_on(changes, each.sign_in, notification, new.draft, methods, policy)
        else:
            changes.end(each, SignInEvent.CANCELLED, Actor.DEVICE, reason=Reason.REGISTERED_ELSEWHERE)
    return changes.decision(device)


def remove_method(
    snapshot: Snapshot,
    now: Instant,
    method_id: MethodId,
    methods: Methods,
    actor: Actor,
    source: str | None,
    within: SignInId | None = None,
) -> Decision[None]:
    """Remove a method by its owner, in the settings session `within`. An app's notification goes with its device."""
    changes = Changes(snapshot, now)
    changes.within = within
    method = next((each for each in changes.guard.methods if each.id == method_id), None)
    if method is None:
        return changes.refuse(UnknownMethod(), Audit(kind=AuditKind.DEVICE_REFUSED, actor=actor, source=source))
    if method.kind is MethodKind.APP_NOTIFICATION and method.device_id:
        return _without_device(changes, method.device_id, methods, actor, source)
    kept = tuple(each for each in changes.guard.methods if each.id != method_id)
    if _last_goes(changes, kept, methods):
        return changes.refuse(LastMethod(), Audit(kind=AuditKind.DEVICE_REFUSED, actor=actor, source=source))
    _keep(changes, kept, changes.guard.devices)
    changes.record(
        Audit(kind=AuditKind.DEVICE_CHANGED, actor=actor, source=source, data={"removed": method.kind.value})
    )
    end_unverifiable(changes, methods, actor)
    return changes.decision(None)


def remove_device(
    snapshot: Snapshot, now: Instant, device_id: DeviceId, methods: Methods, actor: Actor, source: str | None
) -> Decision[None]:
    """Remove a device with all that it confirms, by its owner or by itself."""
    return _without_device(Changes(snapshot, now), device_id, methods, actor, source)


def rename_device(snapshot: Snapshot, now: Instant, device: Device) -> Decision[Device]:
    """Write a device's own changes: its name, where it is pushed to."""
    changes = Changes(snapshot, now)
    if not any(each.id == device.id for each in changes.guard.devices):
        return changes.refuse(
            UnknownDevice(), Audit(kind=AuditKind.DEVICE_REFUSED, actor=Actor.DEVICE, source=device.id)
        )
    changes.update_guard(
        devices=tuple(
            EnrolledDevice(each.id, each.thumbprint, device.name) if each.id == device.id else each
            for each in changes.guard.devices
        ),
        methods=tuple(
            msgspec.structs.replace(each, target=device.name) if each.device_id == device.id else each
            for each in changes.guard.methods
        ),
    )
    changes.device = device
    changes.record(Audit(kind=AuditKind.DEVICE_CHANGED, actor=Actor.DEVICE, source=device.id))
    return changes.decision(device)


def choose_primary(
    snapshot: Snapshot, now: Instant, method_id: MethodId, methods: Methods, source: str | None
) -> Decision[None]:
    """Make a method the one that is asked first."""
    changes = Changes(snapshot, now)
    if not any(each.id == method_id for each in registered_methods(changes.guard, methods)):
        return changes.refuse(UnknownMethod(), Audit(kind=AuditKind.DEVICE_REFUSED, actor=Actor.BROWSER, source=source))
    changes.update_guard(primary=method_id)
    changes.record(Audit(kind=AuditKind.PRIMARY_CHANGED, actor=Actor.BROWSER, source=source))
    return changes.decision(None)


def forget_all_methods(changes: Changes, methods: Methods) -> None:
    """Take everything registered away, as an administrator may."""
    for device in changes.guard.devices:
        changes.record(Audit(kind=AuditKind.DEVICE_REMOVED, actor=Actor.OPERATOR, data={"device": device.id}))
    changes.removed_devices = tuple(device.id for device in changes.guard.devices)
    _keep(changes, (), ())
    changes.update_guard(activation=None, failures={})
    end_unverifiable(changes, methods, Actor.OPERATOR)


def _without_device(
    changes: Changes, device_id: DeviceId, methods: Methods, actor: Actor, source: str | None
) -> Decision[None]:
    refused = Audit(kind=AuditKind.DEVICE_REFUSED, actor=actor, source=source)
    devices = tuple(each for each in changes.guard.devices if each.id != device_id)
    if len(devices) == len(changes.guard.devices):
        return changes.refuse(UnknownDevice(), refused)
    kept = tuple(each for each in changes.guard.methods if each.device_id != device_id)
    if actor is not Actor.OPERATOR and _last_goes(changes, kept, methods):
        return changes.refuse(LastMethod(), refused)
    _keep(changes, kept, devices)
    changes.removed_devices = (device_id,)
    changes.record(Audit(kind=AuditKind.DEVICE_REMOVED, actor=actor, source=source, data={"device": device_id}))
    end_unverifiable(changes, methods, actor)
    return changes.decision(None)


def _last_goes(changes: Changes, kept: tuple[Method, ...], methods: Methods) -> bool:
    enforced = changes.user.state is UserState.ENFORCED
    before = registered_methods(changes.guard, methods)
    after = registered_methods(Guard(methods=kept), methods)
    return enforced and bool(before) and not after


def _keep(changes: Changes, methods: tuple[Method, ...], devices: tuple[EnrolledDevice, ...]) -> None:
    primary = changes.guard.primary
    if not any(each.id == primary for each in methods):
        primary = methods[0].id if methods else None
    changes.update_guard(methods=methods, devices=devices, primary=primary)


def _registering(changes: Changes, sign_in_id: SignInId) -> bool:
    pending = changes.pending(sign_in_id)
    return pending is not None and pending.sign_in.state is SignInState.REGISTRATION_REQUIRED


def _go_on(changes: Changes, sign_in: SignIn, method: Method, draft: Draft, methods: Methods, policy: Policy) -> None:
    registered = sign_in.after(SignInEvent.REGISTERED, changes.now)
    asked = ask_first(changes, registered, method, draft, methods, policy)
    if not isinstance(asked, SignIn):
        changes.put(msgspec.structs.replace(registered, notice=Notice.PROMPT_LIMIT))
