"""The best guesser within the limits, for a simulated day: how many tries, and with what chance to get in.

The guesser has the password and never tires: begins, asks again and guesses as soon as the rules let them, by one
method. Once while its owner is away, once while the owner signs in by it every hour: successes end rows of failures, so
the guesser always leaves the owner a try. All this is played against the rules alone, with the default policy and
made-up time. `python -m tests.support.guessing` prints the table that stands in docs/security.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from push_service.methods import ALL
from push_service.model.challenge import ChallengeState, MethodKind
from push_service.model.codes import PRINTED_CODE_BYTES
from push_service.model.errors import WrongCode
from push_service.model.ids import MethodId
from push_service.model.instant import after
from push_service.model.method import Verdict
from push_service.model.policy import RECOVERY_CODES, Policy
from push_service.model.rules.answer import AnswerOutcome
from push_service.model.sign_in import SignInState
from push_service.model.throttle import left
from push_service.model.totp import WINDOW, TotpKey
from push_service.model.user import Bypass, Failures, RecoveryCodes
from push_service.model.view import Seen
from tests.support.scene import DIGITS, Scene

DAY, HOUR = 86_400, 3_600
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
DEFAULT = Policy()
_PRINTED = 2.0 ** (8 * PRINTED_CODE_BYTES)


@dataclass(frozen=True)
class Attack:
    """A way to guess: by which method, with which policy, and what one guess is worth."""

    name: str
    kind: MethodKind
    chance: float
    guess: Callable[[Scene, Seen, int], bool]
    """Guess wrong, as the n-th time; whether it was counted as a try."""
    succeed: Callable[[Scene, Seen], object] | None = None
    """How its owner answers rightly; None: an owner who signs in by it has nothing left to guess."""
    policy: Policy = DEFAULT


def _typed(scene: Scene, seen: Seen, turn: int) -> bool:
    code = f"{999_999 - turn:06d}"
    return isinstance(scene.type_code(seen, code, SECRET).refusal, WrongCode)


def _on_the_phone(scene: Scene, seen: Seen, _: int) -> bool:
    return scene.verify(seen, "Pixel", "00") is AnswerOutcome.WRONG_NUMBER


def _keyed_in(scene: Scene, seen: Seen, _: int) -> bool:
    return scene.press_keys(scene.challenge(seen).id, "9999#").reply in {Verdict.WRONG, None}


def _app_code(scene: Scene, seen: Seen) -> object:
    key = TotpKey(SECRET)
    return scene.type_code(seen, key.code(key.step(scene.now)), SECRET)


_DIGITS = DEFAULT.number_digits
ATTACKS = (
    Attack(
        "`app_notification`, by whoever holds the phone",
        MethodKind.APP_NOTIFICATION,
        10.0**-_DIGITS,
        _on_the_phone,
        lambda scene, seen: scene.verify(seen, "Pixel"),
    ),
    Attack("`app_code`", MethodKind.APP_CODE, (2 * WINDOW + 1) / 1e6, _typed, _app_code),
    Attack(
        "`text_mobile`", MethodKind.TEXT_MOBILE, 1 / 1e6, _typed, lambda scene, seen: scene.type_code(seen, DIGITS[:6])
    ),
    Attack(
        "`call_mobile`, `call_office` with four digits, by whoever answers",
        MethodKind.CALL_MOBILE,
        1 / 1e4,
        _keyed_in,
        lambda scene, seen: scene.press_keys(scene.challenge(seen).id, f"{DIGITS[:4]}#"),
        Policy(call_pin_digits=4),
    ),
    Attack("recovery codes", MethodKind.RECOVERY_CODE, RECOVERY_CODES / _PRINTED, _typed),
    Attack("one-time bypass", MethodKind.BYPASS, 1 / _PRINTED, _typed),
)


@dataclass(frozen=True)
class Guessed:
    """What a day brings."""

    away: int
    """Guesses while the owner is away."""
    busy: int
    """Guesses while the owner signs in every hour."""
    probability: float
    """Of getting in, by the larger of the two."""


class _Day:
    """One day of guessing."""

    def __init__(self, attack: Attack, *, busy: bool) -> None:
        self.attack, self.busy = attack, busy
        self.scene = Scene("Pixel", policy=attack.policy, methods=ALL)
        self.method_id = self._registered()
        self.elapsed, self.guesses, self.turn = 0.0, 0, 0

    def play(self) -> int:
        """How many guesses were judged."""
        seen = None
        while self.elapsed < DAY:
            if self.busy and self._left() <= 1:
                self._wait(HOUR - self.elapsed % HOUR)
                seen = None
            seen = seen if seen and self._asks(seen) else self._asked()
            if seen is None:
                continue
            self.turn += 1
            if self.attack.guess(self.scene, seen, self.turn % 900_000):
                self.guesses += 1
            assert self.scene.sign_in(seen).state is not SignInState.APPROVED, "a wrong guess let somebody in"
        return self.guesses

    def _registered(self) -> MethodId:
        kind, scene = self.attack.kind, self.scene
        forever = after(scene.now, 2 * DAY)
        if kind is MethodKind.RECOVERY_CODE:
            scene.set_guard(recovery=RecoveryCodes(id=MethodId("mth_list"), macs=("mac",) * RECOVERY_CODES))
            return MethodId("mth_list")
        if kind is MethodKind.BYPASS:
            scene.set_guard(bypass=Bypass(id=MethodId("mth_bypass"), mac="mac", expires_at=forever))
            return MethodId("mth_bypass")
        if kind is MethodKind.APP_NOTIFICATION:
            return scene.method(kind, "Pixel").id
        return scene.add_method(kind).id

    def _asks(self, seen: Seen) -> bool:
        """Whether a guess would be heard."""
        sign_in, challenge = self.scene.sign_in(seen), self.scene.memory.challenge_of(self.scene.sign_in(seen))
        if challenge is None or challenge.kind is not self.attack.kind:
            return False
        return sign_in.open_at(self.scene.now) and challenge.state is ChallengeState.PENDING

    def _asked(self) -> Seen | None:
        """Be asked by the method; None: not now, and time has gone by until one may ask again."""
        begun = self.scene.begin()
        if begun.refusal is not None:
            self._wait(begun.refusal.retry_after)
            return None
        seen = begun.reply
        if not self._asks(seen):
            chosen = self.scene.choose(seen, self.method_id)
            if chosen.refusal is not None:
                self.scene.withdraw(seen)
                self._wait(chosen.refusal.retry_after)
                return None
        return seen

    def _left(self) -> int:
        """How many tries there are now."""
        scene, kind = self.scene, self.attack.kind
        failures = scene.guard.failures.get(kind, Failures())
        return left(failures.at, scene.methods[kind].tries(scene.policy), scene.now)

    def _wait(self, seconds: float | None) -> None:
        """Let the time go by that a refusal names, and the owner's hours with it."""
        memory = self.scene.memory
        memory.sign_ins = {each.id: each for each in memory.sign_ins.values() if each.live}
        until = self.elapsed + math.ceil(seconds or HOUR)
        while (hour := (self.elapsed // HOUR + 1) * HOUR) <= until:
            self._pass(hour - self.elapsed)
            self._owner_signs_in()
        self._pass(until - self.elapsed)

    def _pass(self, seconds: float) -> None:
        self.scene.pass_time(seconds)
        self.elapsed += seconds

    def _owner_signs_in(self) -> None:
        if not self.busy or self.attack.succeed is None:
            return
        begun = self.scene.begin()
        if begun.refusal is None:
            if not self._asks(begun.reply):
                self.scene.choose(begun.reply, self.method_id)
            if self._asks(begun.reply):
                self.attack.succeed(self.scene, begun.reply)


def guessed(attack: Attack) -> Guessed:
    """Guess for a day, twice."""
    away, busy = (_Day(attack, busy=busy).play() for busy in (False, True))
    most = max(away, busy)
    return Guessed(away, busy, -math.expm1(most * math.log1p(-attack.chance)))


def table() -> str:
    """The table in docs/security.md."""
    lines = [
        "| guessed | chance of a guess | guesses in a day, owner away | owner signs in by it every hour | gets in |",
        "|---|---|---|---|---|",
    ]
    for attack in ATTACKS:
        found = guessed(attack)
        busy = f"{found.busy}" if attack.succeed else "none"
        lines.append(f"| {attack.name} | {attack.chance:.2g} | {found.away} | {busy} | {found.probability:.1e} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table())  # noqa: T201 - what it is for
