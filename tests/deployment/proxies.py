"""The real nginx, HAProxy and Caddy with the files of config/proxies, their addresses and certificates replaced.

Each is a process of the test's own, on free ports, with all that it writes in a folder of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.ports import free_port
from tests.support.service import START_SECONDS, STOP_SECONDS

SHIPPED = Path(__file__).parents[2] / "config" / "proxies"
NAME = "localhost"
_MACHINES = ("10.0.0.11:8400", "10.0.0.12:8400")


@dataclass(frozen=True)
class Site:
    """What a proxy is told: the machines behind it, its ports and its certificate."""

    folder: Path
    machines: Sequence[str]
    port: int
    plain_port: int
    chain: Path
    key: Path


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs."""

    name: str
    port: int
    plain_port: int

    @property
    def url(self) -> str:
        """What browsers and phones call."""
        return f"https://{NAME}:{self.port}"


def missing() -> str:
    """Why proxies can't be tried here; empty where they can."""
    absent = [name for name in ("nginx", "haproxy", "caddy") if shutil.which(name, path=_PATH) is None]
    return f"not installed: {', '.join(absent)} (apt-get install -y nginx-light haproxy caddy)" if absent else ""


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # where Debian puts servers, and people's PATH doesn't lead


def make_certificate(folder: Path) -> tuple[Path, Path, ssl.SSLContext]:
    """A certificate for this machine, its key, and what a client must believe to accept it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return chain, private, ssl.create_default_context(cafile=str(chain))


def replaced(text: str, by: Mapping[str, str]) -> str:
    """The shipped text with its placeholders replaced. Each must be there: else the file is not the one we know."""
    for placeholder, value in by.items():
        assert placeholder in text, f"{placeholder} is not in the file"
        text = text.replace(placeholder, value)
    return text


def _machines(site: Site) -> dict[str, str]:
    return dict(zip(_MACHINES, site.machines, strict=True))


def nginx(site: Site) -> list[str]:
    """The shipped file within the main one that every nginx has."""
    by = {
        "listen 80;": f"listen 127.0.0.1:{site.plain_port};",
        "listen 443 ssl": f"listen 127.0.0.1:{site.port} ssl",
        "/etc/ssl/login.example.org/fullchain.pem": str(site.chain),
        "/etc/ssl/login.example.org/privkey.pem": str(site.key),
        "login.example.org": NAME,
    }
    shipped = site.folder / "push-service.conf"
    shipped.write_text(replaced((SHIPPED / "nginx.conf").read_text(), _machines(site) | by))
    temporary = "".join(
        f"{each}_temp_path {site.folder}/{each};\n" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = site.folder / "nginx.conf"
    main.write_text(
        f"user {_owner()};\ndaemon off;\nworker_processes 1;\nerror_log {site.folder}/error.log warn;\n"
        f"pid {site.folder}/nginx.pid;\nevents {{ worker_connections 2048; }}\n"
        f"http {{\naccess_log off;\n{temporary}include {shipped};\n}}\n"
    )
    return ["nginx", "-c", str(main), "-e", f"{site.folder}/error.log"]


def _owner() -> str:
    """Who runs the workers: where root starts nginx, somebody who may enter the test's folders."""
    return "root" if os.geteuid() == 0 else "nobody"


def haproxy(site: Site) -> list[str]:
    """The shipped file as it is."""
    pem = site.folder / "login.pem"
    pem.write_bytes(site.chain.read_bytes() + site.key.read_bytes())
    by = {
        "maxconn 40000": "maxconn 2000",  # as many files as a test may open
        "bind :80": f"bind 127.0.0.1:{site.plain_port}",
        "bind :443": f"bind 127.0.0.1:{site.port}",
        "/etc/haproxy/login.example.org.pem": str(pem),
    }
    shipped = site.folder / "haproxy.cfg"
    shipped.write_text(replaced((SHIPPED / "haproxy.cfg").read_text(), _machines(site) | by))
    return ["haproxy", "-db", "-f", str(shipped)]


def caddy(site: Site) -> list[str]:
    """The shipped file, with its own certificate and with no other Caddy's administration in its way."""
    by = {"header Strict": f"tls {site.chain} {site.key}\n\theader Strict"}
    shipped = site.folder / "Caddyfile"
    head = f"{{\n\tadmin off\n\thttps_port {site.port}\n\thttp_port {site.plain_port}\n\tdefault_bind 127.0.0.1\n}}\n"
    shipped.write_text(head + replaced((SHIPPED / "Caddyfile").read_text(), by))
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(shipped)]


PROXIES = {"nginx": nginx, "haproxy": haproxy, "caddy": caddy}


@asynccontextmanager
async def running(name: str, folder: Path, machines: Sequence[str], chain: Path, key: Path) -> AsyncIterator[Proxy]:
    """A proxy in front of these machines, for as long as the block lasts."""
    folder.mkdir()  # noqa: ASYNC240 - before anything goes on
    site = Site(folder, machines, free_port(), free_port(), chain, key)
    log = folder / "log"
    around = os.environ | {
        "PATH": _PATH,
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "SITE": f"{NAME}:{site.port}",
        "MACHINES": " ".join(machines),
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*PROXIES[name](site), env=around, stdout=output, stderr=output)
    try:
        await _listening(site.port, process, log)
        yield Proxy(name, site.port, site.plain_port)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _listening(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert process.returncode is None, log.read_text()  # noqa: ASYNC240 - the end of the test
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)
