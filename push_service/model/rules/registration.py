"""Activating a phone, and removing or choosing what a person verifies with.

Phones without an app, and other authenticator apps, are enrolled by `enrolment.py`; what follows from a confirmed
method is the same and in `registered.py`.
"""

from __future__ import annotations

import msgspec

from push_service.model.challenge import MethodKind
from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.device import Device, UsedActivation
from push_service.model.errors import InvalidActivationCode, LastMethod, UnknownDevice, UnknownMethod
from push_service.model.ids import DeviceId, MethodId, SignInId
from push_service.model.instant import Instant
from push_service.model.message import About
from push_service.model.method import Draft, Methods, registered_methods
from push_service.model.policy import Policy
from push_service.model.rules.changes import Changes
from push_service.model.rules.notices import tell
from push_service.model.rules.registered import Waiting, add_methods, registering
from push_service.model.rules.unverifiable import end_unverifiable
from push_service.model.user import Activation, EnrolledDevice, Guard, Method, Snapshot, UserState


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
    if activation.sign_in_id is not None and not registering(changes, activation.sign_in_id):
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
    if not fits or opened is None or (waiting and not registering(changes, waiting)):
        return changes.refuse(
            InvalidActivationCode(), Audit(kind=AuditKind.ACTIVATION_REFUSED, actor=Actor.DEVICE, source=source)
        )
    device = new.device
    notification = Method(
        id=new.notification_id, kind=MethodKind.APP_NOTIFICATION, target=device.name, device_id=device.id
    )
    code = Method(id=new.code_id, kind=MethodKind.APP_CODE, target=device.name, device_id=device.id)
    changes.update_guard(
        devices=(*changes.guard.devices, EnrolledDevice(device.id, device.thumbprint, device.name)), activation=None
    )
    add_methods(
        changes,
        notification,
        code,
        waiting=Waiting(waiting, new.draft) if waiting and new.draft else None,
        actor=Actor.DEVICE,
        methods=methods,
        policy=policy,
    )
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
    tell(changes, About.METHOD_ADDED, device.name)
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
    """Remove a method by its owner, in the settings session `within`.

    An app's notification goes with its device, and a mobile phone as a whole: what is registered is its number.
    """
    changes = Changes(snapshot, now)
    changes.within = within
    method = next((each for each in changes.guard.methods if each.id == method_id), None)
    if method is None:
        return changes.refuse(UnknownMethod(), Audit(kind=AuditKind.DEVICE_REFUSED, actor=actor, source=source))
    if method.kind is MethodKind.APP_NOTIFICATION and method.device_id:
        return _without_device(changes, method.device_id, methods, actor, source)
    kept = tuple(each for each in changes.guard.methods if each.id not in {method.id, method.twin})
    if _last_goes(changes, kept, methods):
        return changes.refuse(LastMethod(), Audit(kind=AuditKind.DEVICE_REFUSED, actor=actor, source=source))
    _keep(changes, kept, changes.guard.devices)
    changes.record(Audit(kind=AuditKind.METHOD_REMOVED, actor=actor, source=source, data={"method": method.kind.value}))
    tell(changes, About.METHOD_REMOVED, method.target)
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
    name = next((each.name for each in changes.guard.devices if each.id == device_id), None)
    if name is None:
        return changes.refuse(UnknownDevice(), refused)
    devices = tuple(each for each in changes.guard.devices if each.id != device_id)
    kept = tuple(each for each in changes.guard.methods if each.device_id != device_id)
    if actor is not Actor.OPERATOR and _last_goes(changes, kept, methods):
        return changes.refuse(LastMethod(), refused)
    _keep(changes, kept, devices)
    changes.removed_devices = (device_id,)
    changes.record(Audit(kind=AuditKind.DEVICE_REMOVED, actor=actor, source=source, data={"device": device_id}))
    tell(changes, About.METHOD_REMOVED, name)
    end_unverifiable(changes, methods, actor)
    return changes.decision(None)


def _last_goes(changes: Changes, kept: tuple[Method, ...], methods: Methods) -> bool:
    enforced = changes.user.state is UserState.ENFORCED
    before = registered_methods(changes.guard, methods)
    after = registered_methods(Guard(methods=kept), methods)
    return enforced and bool(before) and not after


def _keep(changes: Changes, methods: tuple[Method, ...], devices: tuple[EnrolledDevice, ...]) -> None:
    """Keep these alone.

    What is being enrolled in other settings sessions is given up: whoever is there may have come in by what goes.
    """
    guard, kept = changes.guard, {each.id for each in methods}
    changes.forget_methods(*(each.id for each in guard.methods if each.id not in kept))
    primary = guard.primary if guard.primary in kept else next((each.id for each in methods), None)
    totp = {method_id: use for method_id, use in guard.totp.items() if method_id in kept}
    changes.update_guard(methods=methods, devices=devices, primary=primary, totp=totp)
    for enrolment in guard.enrolments:
        if enrolment.sign_in_id != changes.within:
            changes.close_enrolment(enrolment)
