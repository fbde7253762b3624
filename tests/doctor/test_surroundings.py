"""The doctor looks at what is around: the public address, its certificate, proxies, Firebase, the machine."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from push_service.config import InvalidSettings
from push_service.doctor import machine
from push_service.doctor.check import Check, Finding, Verdict, ok, run_all
from tests.conftest import MakeService
from tests.doctor.conftest import Examine, settings_for


async def test_a_running_server_is_found_at_its_public_address_and_all_is_well(make_service: MakeService) -> None:
    service = await make_service()
    code, out, err = await service.command("doctor", "--json")
    assert (code, err) == (0, "")
    examined = json.loads(out)
    assert examined["healthy"] is True
    verdicts = {each["check"]: each["verdict"] for each in examined["findings"]}
    assert verdicts["address.public_url"] == verdicts["store.writable"] == verdicts["data.key"] == "ok"


async def test_a_fault_is_told_with_its_remedy_and_by_the_exit_code(make_service: MakeService) -> None:
    service = await make_service()
    (service.folder / "data").chmod(0o750)
    code, out, _ = await service.command("doctor")
    assert code == 1
    (line,) = [each for each in out.splitlines() if each.startswith("fault")]
    assert "data.directory" in line
    assert f"chmod 700 {service.folder / 'data'}" in out
    code, out, _ = await service.command("doctor", "--json")
    assert (code, json.loads(out)["healthy"]) == (1, False)


@pytest.mark.usefixtures("data")
async def test_an_address_that_leads_to_another_installation(make_service: MakeService, examine: Examine) -> None:
    found = (await examine(PUBLIC_URL=(await make_service()).url))["address.public_url"]
    assert found.verdict is Verdict.FAULT
    assert "another installation" in found.sentence


@asynccontextmanager
async def serving(body: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Somebody else's web server."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(text=body)

    app = web.Application()
    app.router.add_get("/{any:.*}", handle)
    runner, port = web.AppRunner(app), unused_port()
    await runner.setup()
    try:
        await web.TCPSite(runner, "localhost", port, ssl_context=tls).start()
        yield f"{'https' if tls else 'http'}://localhost:{port}"
    finally:
        await runner.cleanup()


@pytest.mark.usefixtures("data")
async def test_an_address_that_something_else_answers(examine: Examine) -> None:
    async with serving("<h1>It works!</h1>") as url:
        found = (await examine(PUBLIC_URL=url))["address.public_url"]
    assert found.verdict is Verdict.FAULT
    assert "something else" in found.sentence


@pytest.mark.usefixtures("data")
async def test_an_address_that_nobody_answers_may_be_right_elsewhere(examine: Examine) -> None:
    found = (await examine(PUBLIC_URL=f"http://localhost:{unused_port()}"))["address.public_url"]
    assert found.verdict is Verdict.WARNING
    assert "can't be reached from here" in found.sentence


def certified(folder: Path, days: float) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS with a certificate of its own making, and that certificate for whoever trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    private = folder / "key.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, private)
    return context, file


@pytest.mark.usefixtures("data")
async def test_a_certificate_that_nobody_believes(tmp_path: Path, examine: Examine) -> None:
    context, _ = certified(tmp_path, 90)
    async with serving("", context) as url:
        found = await examine(PUBLIC_URL=url)
    assert found["address.certificate"].verdict is Verdict.FAULT
    assert found["address.public_url"].verdict is Verdict.FAULT
    assert "is not believed" in found["address.public_url"].sentence


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(("days", "verdict"), [(90.9, Verdict.OK), (5.9, Verdict.WARNING)])
@pytest.mark.usefixtures("data")
async def test_a_certificate_that_lasts_and_one_that_ends_soon(
    tmp_path: Path, examine: Examine, monkeypatch: pytest.MonkeyPatch, days: float, verdict: Verdict
) -> None:
    context, file = certified(tmp_path, days)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with serving("", context) as url:
        found = (await examine(PUBLIC_URL=url))["address.certificate"]
    assert found.verdict is verdict
    assert f"{days:.0f} days" in found.sentence


async def test_proxies_that_are_missing_and_proxies_that_are_everybody(examine: Examine) -> None:
    url = f"https://localhost:{unused_port()}"
    missing = (await examine(PUBLIC_URL=url))["address.proxies"]
    assert missing.verdict is Verdict.WARNING
    assert (await examine(PUBLIC_URL=url, TRUSTED_PROXIES="127.0.0.1/32"))["address.proxies"].verdict is Verdict.OK
    everybody = (await examine(PUBLIC_URL=url, TRUSTED_PROXIES="127.0.0.1/32,0.0.0.0/0"))["address.proxies"]
    assert everybody.verdict is Verdict.FAULT


async def test_firebase_credentials_that_are_missing_wrong_loose_and_right(tmp_path: Path, examine: Examine) -> None:
    file = tmp_path / "firebase.json"

    async def look() -> Finding:
        return (await examine(FIREBASE__CREDENTIALS=str(file)))["firebase.credentials"]

    assert "can't be read" in (await look()).sentence
    file.touch(0o600)
    file.write_text("{}")
    assert "not the JSON of a service account" in (await look()).sentence
    account = {"type": "service_account", "project_id": "contoso", "private_key": "x", "client_email": "y"}
    file.write_text(json.dumps(account))
    file.chmod(0o644)
    with pytest.raises(InvalidSettings, match="chmod o-rwx it"):
        await look()
    file.chmod(0o600)
    assert (await look()).verdict is Verdict.OK
    file.write_text(json.dumps(account | {"type": "authorized_user"}))
    assert (await look()).verdict is Verdict.WARNING


async def test_a_slip_of_the_pen(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_SERVICE_TRUSTED_PROXY", "10.0.0.0/8")
    found = (await examine())["settings.unread"]
    assert found.verdict is Verdict.WARNING
    assert "PUSH_SERVICE_TRUSTED_PROXY" in found.sentence


async def test_too_few_open_files(make_service: MakeService) -> None:
    service = await make_service()
    python = service.program[0]
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        f"ulimit -n 200; exec {python} -m push_service doctor --json",
        env=service.environment,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    (found,) = [each for each in json.loads(out)["findings"] if each["check"] == "machine.open_files"]
    assert (found["verdict"], process.returncode) == ("fault", 1)
    assert "200 files" in found["sentence"]


async def test_hashes_that_need_more_memory_than_there_is(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert settings_for(tmp_path).argon2.memory_kib > 1
    monkeypatch.setattr(machine, "_available_kib", lambda: 1)
    assert (await examine())["machine.passwords"].verdict is Verdict.FAULT


class _Defect(Check):
    name = "some.part"

    async def run(self) -> Finding:
        raise ZeroDivisionError("by\nnought")


class _Fine(Check):
    name = "other.part"

    async def run(self) -> Finding:
        return ok(self, "Fine.")


async def test_a_check_that_fails_is_a_finding_and_the_others_go_on() -> None:
    defect, fine = await run_all([_Defect(), _Fine()])
    assert defect.verdict is Verdict.FAULT
    assert "ZeroDivisionError: by nought" in defect.sentence
    assert fine.verdict is Verdict.OK
