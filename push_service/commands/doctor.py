"""`push-service doctor`: what is wrong with this installation, in a sentence each."""

from __future__ import annotations

import asyncio

import msgspec
import typer

from push_service.commands.running import ConfigOption, JsonOption, print_json, settings_of, tell


class FindingView(msgspec.Struct, frozen=True):
    """One finding."""

    check: str
    verdict: str
    sentence: str
    remedy: str | None


class Examined(msgspec.Struct, frozen=True):
    """All findings; healthy without a fault."""

    healthy: bool
    findings: list[FindingView]


def doctor(context: typer.Context, config: ConfigOption = None, *, json: JsonOption = False) -> None:
    """Check the settings against the live parts; changes nothing. Exit code 1 if there is any fault."""
    settings = settings_of(context, config)
    from push_service.doctor.check import Verdict, run_all  # noqa: PLC0415 - imports what only this command needs
    from push_service.doctor.rounds import checks  # noqa: PLC0415
    from push_service.observability import set_up_logs  # noqa: PLC0415

    set_up_logs("critical", json=False)  # what goes wrong is what the findings say

    found = asyncio.run(run_all(checks(settings)))
    healthy = all(each.verdict is not Verdict.FAULT for each in found)
    if json:
        views = [FindingView(each.check, each.verdict.value, each.sentence, each.remedy) for each in found]
        print_json(Examined(healthy, views))
    else:
        for each in found:
            tell(f"{each.verdict.value:<8} {each.check:<22} {each.sentence}")
            if each.remedy:
                tell(f"{'':<31} {each.remedy}")
    if not healthy:
        raise typer.Exit(1)
