"""Ways in for whoever has no method at hand: a list of recovery codes of one's own, and an administrator's bypass.

Neither makes anybody registered. The list is as good as a second factor; the bypass is none (see methods/).
"""

from __future__ import annotations

import msgspec

from push_service.model.challenge import MethodKind
from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.errors import Forbidden
from push_service.model.instant import Instant, rfc3339
from push_service.model.message import About
from push_service.model.rules.changes import Changes
from push_service.model.rules.notices import tell
from push_service.model.sign_in import SignInState
from push_service.model.user import Bypass, RecoveryCodes, Snapshot


def issue_codes(snapshot: Snapshot, now: Instant, codes: RecoveryCodes, source: str | None) -> Decision[None]:
    """Let these codes take the place of the list before; with them what was tried against that one is forgiven."""
    changes = Changes(snapshot, now)
    changes.update_guard(recovery=codes)
    _begin_anew(changes, MethodKind.RECOVERY_CODE)
    changes.record(Audit(kind=AuditKind.RECOVERY_CODES_ISSUED, actor=Actor.BROWSER, source=source))
    return changes.decision(None)


def issue_bypass(snapshot: Snapshot, now: Instant, bypass: Bypass, issuer: str, reason: str) -> Decision[None]:
    """Let this bypass take the place of one before, and browsers that wait show it.

    `issuer` is a user's id, or the name of an account of the machine. Nobody issues one to themselves: a help desk's
    own account would be the best to steal.
    """
    changes = Changes(snapshot, now)
    data = {"issuer": issuer, "reason": reason, "expires_at": rfc3339(bypass.expires_at)}
    if issuer == changes.user.id:
        refused = Audit(kind=AuditKind.BYPASS_REFUSED, actor=Actor.OPERATOR, data=data)
        return changes.refuse(Forbidden("Nobody issues a bypass to themselves."), refused)
    changes.update_guard(bypass=bypass)
    _begin_anew(changes, MethodKind.BYPASS)
    for each in changes.live:
        if each.sign_in.state is SignInState.PENDING:
            changes.put(msgspec.structs.replace(each.sign_in, version=each.sign_in.version + 1))
    changes.record(Audit(kind=AuditKind.BYPASS_ISSUED, actor=Actor.OPERATOR, data=data))
    tell(changes, About.BYPASS_ISSUED, "")
    return changes.decision(None)


def _begin_anew(changes: Changes, kind: MethodKind) -> None:
    failures = {each: count for each, count in changes.guard.failures.items() if each is not kind}
    changes.update_guard(failures=failures)
