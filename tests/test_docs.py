"""The documentation is tested: what it names exists, what exists is named, and what it shows runs."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from playwright.async_api import expect
from typer.main import get_command

from mobile_stub.phone import Phone
from push_service.app import Server
from push_service.commands import app as commands
from push_service.config import names
from push_service.crypto import answers, proofs
from push_service.delivery import frames, line
from push_service.drafts import CONTEXT_TYP
from push_service.model.account_states import TABLE, Door, Standing
from push_service.model.challenge import ChallengeState, DeliveryState
from push_service.model.decision import Actor, AuditKind
from push_service.model.errors import ServiceError
from push_service.model.method import AnswerDecision
from push_service.model.rules.answer import AnswerOutcome
from push_service.model.sign_in import TRANSITIONS, Notice, Reason, SignInState
from push_service.model.user import UserState
from push_service.verifier import RESULT_TYP
from tests.conftest import MakeOffice, MakeService
from tests.support import doc_tables
from tests.support.chromium import chromium
from tests.support.people import PASSWORD, Office
from tests.support.service import Service

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted(DOCS.rglob("*.md"))]
PATIENCE = 60.0


def read(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def fenced(text: str, language: str) -> list[str]:
    """The fenced blocks of that language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def section(text: str, title: str) -> str:
    """What stands under a heading of the second level."""
    return re.split(r"^## ", text.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, code marks taken away, without heads and rules."""
    lines = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    found = [[cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", each)] for each in lines]
    return [row for row, after in zip(found, [*found[1:], [""]], strict=True) if "---" not in row[0] + after[0]]


# --- what exists is named ---------------------------------------------------------------------------------------------


def test_every_setting_is_documented_under_its_environment_name() -> None:
    told = {row[0] for row in rows(read("settings")) if row[0].startswith("PUSH_SERVICE_")}
    assert told == set(names())


def _lines_of(command: object, prefix: str) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield prefix
        return
    for name, each in inner.items():
        yield from _lines_of(each, f"{prefix} {name}")


def test_every_command_is_documented_and_no_other() -> None:
    there = set(_lines_of(get_command(commands), "push-service"))
    told = {row[0] for row in rows(read("commands")) if row[0].startswith("push-service ")}
    told = {re.sub(r" (?:[A-Z\[].*)", "", each) for each in told}
    assert there
    assert told == there


def _options_of(command: object) -> Iterator[str]:
    for each in getattr(command, "commands", {}).values():
        yield from _options_of(each)
    for parameter in getattr(command, "params", ()):
        yield from (
            option for option in getattr(parameter, "opts", ()) if option.startswith("--") and option != "--help"
        )


def test_every_option_of_a_command_is_documented() -> None:
    missing = {option for option in _options_of(get_command(commands)) if option not in read("commands")}
    assert not missing


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with doc_tables.unstarted_server() as unstarted:
        yield unstarted


async def test_the_route_table_is_what_the_routes_say(server: Server) -> None:
    expected = doc_tables.http_tables(await doc_tables.openapi(server))
    assert read("http") == expected, "write it anew: python -m tests.support.doc_tables"


async def test_every_route_that_is_served_stands_in_the_route_table(server: Server) -> None:
    served = {
        f"{route.method} {resource.canonical}"
        for resource in server.app.router.resources()
        for route in resource
        if not isinstance(resource, web.StaticResource) and route.method not in {"HEAD", "OPTIONS"}
    }
    told = {row[0] for row in rows(read("http"))}
    assert told == served


def _family(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _family(each)


def test_every_error_code_has_its_section_with_its_status() -> None:
    told = dict(re.findall(r"^### (\w+)\n\n\*\*(\d+)\.\*\*", read("errors"), re.MULTILINE))
    assert told == {kind.code: str(kind.status) for kind in _family(ServiceError) if "code" in vars(kind)}


async def test_every_metric_is_documented_with_its_labels(server: Server) -> None:
    measured = {}
    for line_ in server.core.metrics.text().decode().splitlines():
        if line_.startswith("# TYPE push_service_") and not line_.split()[2].endswith("_created"):
            _, _, name, kind = line_.split()
            measured[name] = kind
    table = {row[0]: row for row in rows(section(read("metrics"), "Metrics")) if row[0].startswith("push_service_")}
    assert {name: row[1] for name, row in table.items()} == measured
    for collector, found in server.core.metrics.registry._collector_to_names.items():
        for name in table.keys() & set(found):
            assert tuple(re.findall(r"\w+", table[name][2])) == getattr(collector, "_labelnames", ()), name


def test_every_audit_kind_and_actor_is_documented() -> None:
    audit = section(read("metrics"), "Audit")
    assert [row[0] for row in rows(audit)] == [kind.value for kind in AuditKind]
    assert all(f"`{actor.value}`" in audit for actor in Actor)


def test_every_event_that_is_logged_by_name_is_documented() -> None:
    logged = set()
    for file in (ROOT / "push_service").rglob("*.py"):
        logged |= set(re.findall(r"_log\.\w+\(\s*\"([\w.]+)\"", file.read_text()))
    told = {row[0] for row in rows(section(read("metrics"), "Logs"))}
    assert logged
    assert logged <= told


def test_the_table_of_moves_is_the_code_s() -> None:
    table = rows(section(read("architecture"), "The sign-in"))
    assert [tuple(row[:3]) for row in table] == [
        (before.value, event.value, after.value) for (before, event), after in TRANSITIONS.items()
    ]


def test_the_diagram_of_states_has_the_moves_of_the_table_and_no_others() -> None:
    (diagram,) = [each for each in fenced(read("architecture"), "mermaid") if each.startswith("stateDiagram")]
    drawn = re.findall(r"^ +(\w+) --> (\w+): (\w+)$", diagram, re.MULTILINE)
    assert set(drawn) == {(before.value, after.value, event.value) for (before, event), after in TRANSITIONS.items()}


def test_the_protocol_names_every_word_that_travels() -> None:
    protocol = read("protocol")
    closed = (SignInState, Reason, Notice, ChallengeState, AnswerDecision, AnswerOutcome)
    words = {each.value for kind in closed for each in kind} | {each.name.lower() for each in DeliveryState}
    words |= {RESULT_TYP, CONTEXT_TYP, proofs.TYP, answers.TYP, *frames.WITHDRAWN_REASONS.values(), "expired"}
    missing = {word for word in words if f"`{word}`" not in protocol}
    assert not missing


def test_the_protocol_names_every_close_code() -> None:
    codes = {line.NOT_AUTHENTICATED, line.REPLACED, line.TOO_MANY_MESSAGES, line.RESTARTING}
    told = {row[0] for row in rows(section(read("protocol"), "Devices"))}
    assert {str(code) for code in codes} <= told


def test_the_protocol_shows_every_frame_of_either_side() -> None:
    spoken = set()
    for file in ("delivery/frames.py", "frontends/device_socket.py"):
        spoken |= set(re.findall(r'frozen=True, tag="(\w+)"', (ROOT / "push_service" / file).read_text()))
    assert set(re.findall(r'\{"type":"(\w+)"', read("protocol"))) == spoken | {"challenge"}


def test_security_says_what_every_account_state_means() -> None:
    told = {row[0] for row in rows(section(read("security"), "Account states"))}
    assert told >= {state.value for state in UserState}


def test_security_prints_the_table_of_what_opens_what() -> None:
    told = rows(section(read("security"), "Clients without a second step"))
    assert told == [[account, *(TABLE[account, door] for door in Door)] for account in Standing]
    head = next(line for line in read("security").splitlines() if line.startswith("| account | browser |"))
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["account", *Door]


def test_every_part_of_the_service_and_of_its_model_is_at_home_in_the_glossary() -> None:
    told = {row[2] for row in rows(read("glossary"))}
    assert not {path for path in told if not (ROOT / path).exists()}, "the glossary names what isn't there"
    service = ROOT / "push_service"
    parts = [*service.iterdir(), *(service / "model").iterdir()]
    there = {str(path.relative_to(ROOT)) for path in parts if path.suffix in {"", ".py"} and path.name[:2] != "__"}
    assert not {part for part in there if not any(path == part or path.startswith(f"{part}/") for path in told)}


def test_decisions_are_numbered_without_a_gap_and_have_their_three_parts() -> None:
    files = sorted((DOCS / "decisions").glob("*.md"))
    assert [file.name[:4] for file in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    for file in files:
        text = file.read_text()
        assert text.startswith(f"# {file.name[:4]}: "), file
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Choice", "Rejected"], file


def test_code_that_names_a_decision_or_a_document_names_one_that_is_there() -> None:
    for package in ("push_service", "mobile_stub"):
        for file in (ROOT / package).rglob("*.py"):
            for named in re.findall(r"(?<!/)docs/[\w./-]*\w", file.read_text()):
                found = (ROOT / named).exists() or any((ROOT / named).parent.glob(f"{Path(named).name}*"))
                assert found, f"{file} names {named}"


# --- what is named exists ---------------------------------------------------------------------------------------------


def _anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as repository hosts make them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name} links to {link}"
        assert not anchor or anchor in _anchors(target.read_text()), f"{document.name} links to {link}"


def test_the_readme_begins_with_the_two_commands_and_names_the_test_command_for_ci() -> None:
    first = [each.split("#")[0].strip() for each in fenced(README.read_text(), "sh")[0].splitlines()]
    assert first == ["./dev demo", "./dev test"]
    after = README.read_text().partition("<!-- test command -->")[2]
    assert fenced(after, "sh")[0] == "./dev test\n"


# --- what is shown runs -----------------------------------------------------------------------------------------------


def test_the_quick_tour_runs_as_it_is_written(tmp_path: Path) -> None:
    blocks = fenced(section(README.read_text(), "A quick tour"), "sh")
    assert len(blocks) >= 8
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUSH_SERVICE_")}
    venv = os.environ.get("PUSH_SERVICE_VENV")
    around = (
        kept | {"PORT": str(unused_port()), "TMPDIR": str(tmp_path)} | ({"PUSH_SERVICE_VENV": venv} if venv else {})
    )
    # Whatever fails on the way, the service and the phone don't stay behind.
    script = "\n".join(["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", *blocks])
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=around, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Contoso Mail: completed" in done.stdout
    assert "'preferred_username': 'alice'" in done.stdout
    assert "'amr': ['pwd', 'swk', 'mfa']" in done.stdout


@pytest.fixture
async def own(make_service: MakeService) -> Service:
    """A server with nobody on it."""
    return await make_service()


async def test_the_phone_of_the_readme_approves_a_sign_in(
    own: Service, make_office: MakeOffice, tmp_path: Path
) -> None:
    (code,) = fenced(section(README.read_text(), "One's own phone"), "python")
    (tmp_path / "own_phone.py").write_text(code)
    desk: Office = await make_office(own)
    alice = await desk.person()
    phone = await asyncio.create_subprocess_exec(
        sys.executable,
        str(tmp_path / "own_phone.py"),
        await desk.activation(alice),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert phone.stdin
    assert phone.stdout
    try:
        async with asyncio.timeout(PATIENCE), desk.browser() as browser:
            assert await phone.stdout.readline() == f"ready, for {alice.username}\n".encode()
            sign_in = await browser.begin(alice.username, PASSWORD)
            phone.stdin.write(f"{sign_in.number}\n".encode())
            assert (await sign_in.outcome())["state"] == "approved"
            assert (await phone.stdout.read()).endswith(b"completed\n")
            assert await phone.wait() == 0
    finally:
        if phone.returncode is None:
            phone.kill()
            await phone.wait()


async def test_the_page_of_the_readme_signs_someone_in(own: Service, make_office: MakeOffice) -> None:
    (page_,) = fenced(section(README.read_text(), "One's own sign-in page"), "html")
    desk = await make_office(own)
    alice = await desk.person()

    async def serve(_: web.Request) -> web.Response:
        return web.Response(text=page_, content_type="text/html")

    elsewhere = web.Application()
    elsewhere.router.add_get("/", serve)
    async with TestServer(elsewhere, host="localhost") as site, Phone.activate(await desk.activation(alice)) as phone:
        origin = str(site.make_url("")).rstrip("/")
        application = await desk.application("Own page", public=True, origins=(origin,))
        for placeholder, value in (("http://localhost:8400", own.url), ("app_…", application.client_id)):
            assert page_.count(f'"{placeholder}"') == 1
            page_ = page_.replace(f'"{placeholder}"', f'"{value}"')
        async with asyncio.timeout(PATIENCE), chromium() as browser:
            page = await browser.new_page()
            await page.goto(origin)
            await page.get_by_label("Username").fill(alice.username)
            await page.get_by_label("Password").fill("not this one")
            await page.get_by_role("button").click()
            status = page.get_by_role("status")
            await expect(status).to_have_text("The username or the password is not right.")
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button").click()
            await expect(status).to_contain_text("in the app on your phone", timeout=PATIENCE * 1000)
            (number,) = re.findall(r"\d+", await status.inner_text())
            await phone.verify(await phone.next_challenge(), number=number)
            await expect(status).to_have_text("You are signed in.", timeout=PATIENCE * 1000)
