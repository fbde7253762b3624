"""privacyIDEA as a running server: its configuration, its keys and tables, and its workers behind gunicorn.

The configuration is what a fresh installation has; nothing is switched off to make it slower or faster. Called by
`bench.peer.comparison`.
"""

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.backends import Backend, background
from bench.machine import cores
from bench.peer.installation import Installation
from bench.processes import Server, StartError, free_address

ADMINISTRATOR = "bench"

_PATIENCE = "120"
"""Seconds after which gunicorn takes a worker for dead; more than any request waits here."""


@contextmanager
def privacyidea(
    installation: Installation, folder: Path, backend: Backend, database: str, password: str
) -> Iterator[Server]:
    """A fresh privacyIDEA over an empty database: as many workers as cores, an administrator with this password.

    Raises `StartError`.
    """
    environment = {**os.environ, "PRIVACYIDEA_CONFIGFILE": str(_configuration(folder, backend, database))}
    for arguments in (
        ("setup", "create_enckey"),
        ("setup", "create_audit_keys"),
        ("setup", "create_tables"),
        ("admin", "add", ADMINISTRATOR, "-e", "bench@example.org", "-p", password),
    ):
        done = subprocess.run(
            [installation.manage, *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StartError(f"pi-manage {' '.join(arguments[:2])} ended with {done.returncode}: {done.stderr[-2000:]}")
    address = free_address()
    command: list[str | Path] = [installation.gunicorn, "--workers", str(len(cores().everyone))]
    command += ["--bind", f"{address.host}:{address.port}", "--timeout", _PATIENCE, "--log-level", "warning"]
    command += ["privacyidea.app:create_app(config_name='production', silent=True)"]
    with background(command, lambda: _is_live(address.port), folder / "gunicorn.log", environment) as pid:
        yield Server(address, pid, database=backend.pid)


def _configuration(folder: Path, backend: Backend, database: str) -> Path:
    """What its documentation has every installation set, as the Python file that it reads."""
    settings = {
        "SUPERUSER_REALM": ["super"],
        "SQLALCHEMY_DATABASE_URI": f"{backend.url.replace('postgresql:', 'postgresql+psycopg2:')}/{database}",
        "SECRET_KEY": secrets.token_hex(32),
        "PI_PEPPER": secrets.token_hex(16),
        "PI_ENCFILE": str(folder / "enckey"),
        "PI_AUDIT_KEY_PRIVATE": str(folder / "private.pem"),
        "PI_AUDIT_KEY_PUBLIC": str(folder / "public.pem"),
        "PI_LOGFILE": str(folder / "privacyidea.log"),
        "PI_UUID_FILE": str(folder / "uuid"),
        "PI_FORCE_HTTPS": False,  # both are measured without TLS
        "PI_LOGLEVEL": 20,  # INFO
    }
    path = folder / "pi.cfg"
    path.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
    return path


def _is_live(port: int) -> bool:
    """Whether a worker has loaded the application, which takes it seconds after gunicorn listens."""
    with socket.socket() as probe:
        probe.settimeout(5)
        try:
            probe.connect(("127.0.0.1", port))
            probe.sendall(b"GET /healthz/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return probe.recv(12).endswith(b" 200")
        except OSError:
            return False
