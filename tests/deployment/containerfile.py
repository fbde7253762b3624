"""The Containerfile, read as its instructions, and run by hand as far as that goes without a container.

`python -m tests.deployment.containerfile` runs the COPY and RUN of the first stage in order, in a temporary folder, and
then the image's command from what they made. /opt and /src are folders there; making a user is left to real builds.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "config" / "containers" / "Containerfile"


@dataclass(frozen=True)
class Instruction:
    """One instruction: FROM, COPY ... with the rest of its line, continuations joined."""

    name: str
    rest: str


def instructions() -> list[Instruction]:
    """The Containerfile's, in order."""
    lines = [line for line in CONTAINERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, its FROM first."""
    found: list[list[Instruction]] = []
    for each in instructions():
        if each.name == "FROM":
            found.append([])
        found[-1].append(each)
    return found


def build(root: Path) -> None:
    """Run the first stage below `root`."""
    workdir = root
    for each in stages()[0]:
        if each.name == "WORKDIR":
            workdir = root / each.rest.lstrip("/")
            workdir.mkdir(parents=True)
        elif each.name == "COPY":
            *sources, target = shlex.split(each.rest)
            for source in sources:
                _copy(ROOT / source, workdir / target / (Path(source).name if target == "./" else ""))
        elif each.name == "RUN":
            command = each.rest.replace("/opt/", f"{root}/opt/").replace("python -m venv", f"{sys.executable} -m venv")
            subprocess.run(["/bin/sh", "-c", command], cwd=workdir, check=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def main() -> None:
    """Build, and have what was built check its settings and say what it can do."""
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        program = f"{folder}/opt/push-service/bin/push-service"
        around = {"PATH": os.environ["PATH"], "PUSH_SERVICE_DATA_DIR": f"{folder}/data"}
        for arguments in (["config", "check"], ["user", "add", "alice", "--no-password"], ["serve", "--help"]):
            subprocess.run([program, *arguments], env=around, cwd=folder, check=True)


if __name__ == "__main__":
    main()
