"""When the second step may be left out: at a trusted network, and in a browser that is remembered.

Both only after a right password, only where a second step is registered, never for the settings or the administration,
and not while a fraud report keeps the person from being asked. The result then says `pwd` alone, never `mfa`.

The token of a remembered browser changes with each use. Whoever comes with one that was used before has a copy, or is
the owner of whom somebody took one: which, nobody can tell, so that browser is remembered no more, and the second step
is asked (NIST SP 800-63B-4, 5.1; S-60). For a few seconds the former token still stands for it, because a request that
is sent twice, or from two tabs, is no theft.
"""

from __future__ import annotations

import hmac
from enum import StrEnum

import msgspec

from push_service.model.application import ADMINISTRATION, SETTINGS
from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.errors import NotRememberable
from push_service.model.ids import ApplicationId, BrowserId
from push_service.model.instant import Instant, after
from push_service.model.network import within
from push_service.model.policy import REMEMBERED_AGAIN_SECONDS, REMEMBERED_BROWSERS, Policy
from push_service.model.rules.changes import Changes
from push_service.model.sign_in import Asker, SignIn, SignInState
from push_service.model.user import Guard, RememberedBrowser, Snapshot
from push_service.model.view import result_until

DAY = 86400
_NEVER_LEFT_OUT = frozenset({SETTINGS, ADMINISTRATION})


class Ground(StrEnum):
    """Why the second step was left out."""

    TRUSTED_NETWORK = "trusted_network"
    REMEMBERED_BROWSER = "remembered_browser"


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """The token of a remembered browser that came with a begin, as hashes, with what the next one is made by."""

    browser_id: BrowserId
    token_hash: str
    kept_by: ApplicationId
    """Whose page it came from."""
    salt: str
    next_hash: str


def ground_for(changes: Changes, sign_in: SignIn, presented: Presented | None, policy: Policy) -> Ground | None:
    """Why this sign-in needs no second step, and nothing but its password; None: it does.

    What the token shows is settled in any case: a copy is a copy, whatever it was tried for.
    """
    if not sign_in.proven:
        return None
    browser = _recognised(changes, sign_in, presented, policy) if presented else None
    if sign_in.application_id in _NEVER_LEFT_OUT or changes.guard.muted_until > changes.now:
        return None
    if browser and presented:
        _use(changes, browser, presented)
        ground = Ground.REMEMBERED_BROWSER
    elif within(sign_in.asker.ip, policy.trusted_networks):
        ground = Ground.TRUSTED_NETWORK
    else:
        return None
    _record(changes, AuditKind.SECOND_STEP_LEFT_OUT, sign_in, ground.value)
    return ground


def days_to_remember(sign_in: SignIn, now: Instant, policy: Policy) -> int:
    """For how many days this sign-in's browser may be remembered, once it is approved; 0: not at all.

    Only by two factors, and only while the sign-in's result is handed out: nobody is remembered by one taken back.
    """
    if sign_in.application_id in _NEVER_LEFT_OUT or not sign_in.proven:
        return 0
    if sign_in.state is SignInState.PENDING:
        return policy.remember_browser_days
    until = result_until(sign_in)
    return policy.remember_browser_days if "mfa" in sign_in.amr and until is not None and now < until else 0


def remember(
    snapshot: Snapshot,
    now: Instant,
    sign_in: SignIn,
    browser_id: BrowserId,
    token_hash: str,
    kept_by: ApplicationId,
    policy: Policy,
) -> Decision[RememberedBrowser]:
    """Remember the browser of an approved sign-in, in place of the one remembered longest ago if there are many.

    The sign-in was read a moment before: what ended all remembering since then ends this one's, too.
    """
    changes = Changes(snapshot, now)
    days, decided_at = days_to_remember(sign_in, now, policy), sign_in.decided_at
    if not days or decided_at is None or decided_at <= changes.guard.forgotten_at:
        return changes.refuse(NotRememberable(), _audit(AuditKind.BROWSER_REFUSED, sign_in, None))
    browser = RememberedBrowser(
        id=browser_id,
        token_hash=token_hash,
        kept_by=kept_by,
        label=_label(sign_in.asker),
        made_at=now,
        expires_at=after(now, days * DAY),
    )
    left = remembered_browsers(changes.guard, now, policy)
    changes.update_guard(browsers=(*left[1 - REMEMBERED_BROWSERS :], browser))
    _record(changes, AuditKind.BROWSER_REMEMBERED, sign_in, None)
    return changes.decision(browser)


def forget(snapshot: Snapshot, now: Instant, actor: Actor, source: str | None) -> Decision[int]:
    """Remember none of the person's browsers any more; the reply is how many there were."""
    changes = Changes(snapshot, now)
    count = len(changes.guard.browsers)
    changes.forget_browsers()
    changes.record(Audit(kind=AuditKind.BROWSERS_FORGOTTEN, actor=actor, source=source, data={"count": str(count)}))
    return changes.decision(count)


def remembered_browsers(guard: Guard, now: Instant, policy: Policy) -> tuple[RememberedBrowser, ...]:
    """The browsers in which the person's password is enough as of now, the one remembered latest at the end."""
    return tuple(each for each in guard.browsers if now < _until(each, policy))


def _recognised(changes: Changes, sign_in: SignIn, presented: Presented, policy: Policy) -> RememberedBrowser | None:
    """The browser that the token stands for; a copied token ends it."""
    now = changes.now
    browser = next((each for each in changes.guard.browsers if each.id == presented.browser_id), None)
    if browser is None or browser.kept_by != presented.kept_by or now >= _until(browser, policy):
        return None
    present = hmac.compare_digest(browser.token_hash, presented.token_hash)
    former = hmac.compare_digest(browser.former_hash or "", presented.token_hash)
    if not present and not (former and now < after(browser.used_at, REMEMBERED_AGAIN_SECONDS)):
        changes.update_guard(browsers=tuple(each for each in changes.guard.browsers if each is not browser))
        _record(changes, AuditKind.BROWSER_COPIED, sign_in, None)
        return None
    return browser if browser.label == _label(sign_in.asker) else None


def _use(changes: Changes, browser: RememberedBrowser, presented: Presented) -> None:
    """Change the token. Not a second time by the former one: whoever sends it gets the present one, made again."""
    if browser.token_hash != presented.token_hash:
        return
    used = msgspec.structs.replace(
        browser,
        token_hash=presented.next_hash,
        former_hash=presented.token_hash,
        salt=presented.salt,
        used_at=changes.now,
    )
    changes.update_guard(browsers=tuple(used if each is browser else each for each in changes.guard.browsers))


def _until(browser: RememberedBrowser, policy: Policy) -> Instant:
    """Until when it is remembered: as was said then, or less if the policy says less by now."""
    return min(browser.expires_at, after(browser.made_at, policy.remember_browser_days * DAY))


def _label(asker: Asker) -> str:
    """What a browser is called, and must still be called when it comes again: its kind and its system, where known."""
    return asker.browser or ""


def _record(changes: Changes, kind: AuditKind, sign_in: SignIn, code: str | None) -> None:
    changes.record(_audit(kind, sign_in, code))


def _audit(kind: AuditKind, sign_in: SignIn, code: str | None) -> Audit:
    data: dict[str, str] = {"application": sign_in.application_id}
    return Audit(kind=kind, actor=Actor.BROWSER, sign_in_id=sign_in.id, code=code, source=sign_in.asker.ip, data=data)
