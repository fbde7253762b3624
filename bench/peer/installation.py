"""privacyIDEA's programs: installed once, in a pinned version, into an environment of their own in the user's cache.

Called by `bench.peer.comparison`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.processes import StartError

VERSION = "3.14"
REQUIREMENTS = (f"privacyidea=={VERSION}", "gunicorn==27.0.1", "psycopg2-binary==2.9.13")
"""The peer, the WSGI server and the database driver that its documentation names."""

_SHIPPED_PINS = "lib/privacyidea/requirements.txt"
"""The versions of its own dependencies that its makers tested; the package alone asks for less precise ones."""

_STAMP = ".installed"


@dataclass(frozen=True)
class Installation:
    """Where its programs are."""

    folder: Path

    @property
    def gunicorn(self) -> Path:
        """The WSGI server."""
        return self.folder / "bin" / "gunicorn"

    @property
    def manage(self) -> Path:
        """Its administration command."""
        return self.folder / "bin" / "pi-manage"


def install(console: Console) -> Installation:
    """The installation, made now if it is not there yet; that takes a minute or two. Raises `StartError`."""
    folder = _cache() / f"privacyidea-{VERSION}"
    stamp = folder / _STAMP
    made_from = "\n".join((sys.version, *REQUIREMENTS))
    if not stamp.exists() or stamp.read_text() != made_from:
        with console.status(f"installing privacyIDEA {VERSION} into {folder} (once)"):
            if folder.exists():
                shutil.rmtree(folder)  # interrupted on the way, or made from other versions
            _run(sys.executable, "-m", "venv", str(folder))
            _pip(folder, *REQUIREMENTS)
            _pip(folder, "--requirement", str(folder / _SHIPPED_PINS))
            stamp.write_text(made_from)
    return Installation(folder)


def _cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "push-service" / "bench"


def _pip(folder: Path, *arguments: str) -> None:
    _run(str(folder / "bin" / "pip"), "install", "--quiet", "--only-binary", ":all:", *arguments)


def _run(*command: str) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    # A directory of nobody's: a module beside us must not be taken for one of the peer's.
    done = subprocess.run(
        command, env=environment, cwd=tempfile.gettempdir(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StartError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
