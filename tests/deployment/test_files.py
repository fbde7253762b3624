"""The other files of config/ say what they must, as far as can be seen without systemd and containers around."""

from __future__ import annotations

import configparser
import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from push_service.config import names
from push_service.workers.process import END_SECONDS
from tests.deployment.containerfile import CONTAINERFILE, ROOT, instructions, stages

CONFIG = ROOT / "config"
UNITS = CONFIG / "systemd"
COMPOSE = CONFIG / "containers" / "compose.yaml"
SERVICES = ("one", "two")

Json = dict[str, Any]


class Unit(configparser.RawConfigParser):
    """A unit file; what stands in it more than once is joined by new lines."""

    def __init__(self, name: str) -> None:
        super().__init__(strict=False, delimiters=("=",), interpolation=None, dict_type=_Joining)
        self.read(UNITS / name)

    def optionxform(self, optionstr: str) -> str:
        return optionstr  # keys keep their case


class _Joining(dict[str, Any]):
    """Keeps all values of a key."""

    def __setitem__(self, key: str, value: Any) -> None:  # noqa: ANN401 - as configparser has it
        if isinstance(value, list) and isinstance(self.get(key), list):
            value = [*self[key], *value]
        super().__setitem__(key, value)


def environment_of(unit: Unit) -> dict[str, str]:
    """The variables that the unit sets."""
    return dict(line.split("=", 1) for line in unit["Service"]["Environment"].splitlines())


@pytest.fixture
def compose() -> Json:
    """The compose file, its anchors resolved."""
    found: Json = yaml.safe_load(COMPOSE.read_text())
    return found


def test_the_unit_s_settings_exist_and_it_waits_longer_than_a_drain_takes() -> None:
    unit = Unit("push-service.service")
    variables = environment_of(unit)
    assert set(variables) <= {*names(), "PUSH_SERVICE_CONFIG"}
    drain = int(variables["PUSH_SERVICE_DRAIN_SECONDS"])
    assert int(unit["Service"]["TimeoutStopSec"]) > drain + END_SECONDS
    assert unit["Service"]["KillMode"] == "mixed", "workers that systemd signals as well would end hard"
    assert unit["Service"]["LoadCredential"].split(":")[0] == Path(variables["PUSH_SERVICE_ENCRYPTION_KEY_FILE"]).name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_the_units_and_little_that_they_leave_open(tmp_path: Path) -> None:
    for file in UNITS.iterdir():
        program = Path(sys.executable).parent / "push-service"
        text = file.read_text().replace("/opt/push-service/.venv/bin/push-service", str(program))
        (tmp_path / file.name).write_text(text)
    units = [str(file) for file in tmp_path.iterdir()]
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert not [line for line in checked.stderr.splitlines() if "push-service" in line], checked.stderr
    service = str(tmp_path / "push-service.service")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", service],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout


def test_the_image_is_built_from_the_hashed_list_and_serves_as_nobody_special() -> None:
    build, image = stages()
    runs = [each.rest for each in build if each.name == "RUN"]
    installs = [each for each in runs if "pip install" in each]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "--no-index" in installs[1], "the second takes nothing from outside"
    by_name = {each.name: each.rest for each in image}
    assert by_name["USER"] == "10001:10001"
    assert "/readyz" in by_name["HEALTHCHECK"]
    assert {each.split("=")[0] for each in by_name["ENV"].split()} <= {*names(), "PATH"}
    assert not {each.name for each in instructions()} - {
        "FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL",
        "ENTRYPOINT", "CMD",
    }  # fmt: skip


def test_what_the_image_copies_is_there_and_goes_into_the_build() -> None:
    ignored = (CONTAINERFILE.parent / "Containerfile.dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    for each in stages()[0]:
        if each.name == "COPY":
            for source in each.rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(fnmatch.fnmatch(source, pattern) for pattern in let_in), source


def test_the_compose_file_has_two_services_that_end_in_time_and_trust_only_their_proxy(compose: Json) -> None:
    for name in SERVICES:
        service = compose["services"][name]
        variables = service["environment"]
        assert set(variables) <= {*names(), "PUSH_SERVICE_CONFIG"}
        drain = int(variables["PUSH_SERVICE_DRAIN_SECONDS"])
        assert int(service["stop_grace_period"].removesuffix("s")) > drain + END_SECONDS
        (subnet,) = compose["networks"]["front"]["ipam"]["config"]
        assert variables["PUSH_SERVICE_TRUSTED_PROXIES"] == subnet["subnet"]
        assert {part for part, other in compose["services"].items() if "front" in other["networks"]} == {
            *SERVICES,
            "proxy",
        }
    machines = compose["services"]["proxy"]["environment"]["MACHINES"]
    assert machines.split() == [f"{name}:8400" for name in SERVICES]


def test_secrets_are_files_that_the_repository_does_not_hold_and_everybody_has_a_health_check(compose: Json) -> None:
    for secret in compose["secrets"].values():
        assert secret["file"].startswith("./secrets/")
    assert "config/containers/secrets/" in (ROOT / ".gitignore").read_text()
    used = {each for service in compose["services"].values() for each in service.get("secrets", ())}
    assert used == set(compose["secrets"])
    for name, service in compose["services"].items():
        assert name in SERVICES or "healthcheck" in service, name  # theirs is the image's


def test_no_file_names_where_packages_or_images_come_from() -> None:
    for file in (CONFIG / "containers").iterdir():
        if file.is_file():
            text = file.read_text()
            assert not re.findall(r"(?:FROM|image:)\s+[\w-]+\.[\w.]+/", text), file  # a host before the image's name
            assert not re.findall(r"--(?:extra-)?index-url|--find-links", text), file
