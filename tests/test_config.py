"""Settings: what they are by default, where they come from, and how a mistake is told."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from push_service import config
from push_service.config import InvalidSettings, Settings
from push_service.model.policy import Policy, Rate

KEY = "A" * 43
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("PUSH_SERVICE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    def given(**values: str) -> Settings:
        for name, value in values.items():
            monkeypatch.setenv(f"PUSH_SERVICE_{name}", value)
        return config.load()

    return given


def written(folder: Path, text: str) -> Path:
    file = folder / "push-service.toml"
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_defaults_serve_one_machine_and_ask_for_a_number(tmp_path: Path) -> None:
    settings = config.load()
    assert str(settings.listen) == "127.0.0.1:8400"
    assert settings.public_url is None
    assert settings.data_dir == tmp_path / "xdg" / "push-service"
    assert settings.database_file == settings.data_dir / "push-service.db"
    assert settings.key_file == settings.data_dir / "secret.key"
    assert settings.key is None
    assert settings.policy.to_policy() == Policy()


def test_the_environment_wins_over_the_file_setting_by_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, 'listen = "127.0.0.1:1"\n[policy]\nnumber_digits = 4\nsign_in_seconds = 60\n')
    monkeypatch.setenv("PUSH_SERVICE_POLICY__NUMBER_DIGITS", "6")
    settings = config.load(file)
    assert (settings.listen.port, settings.policy.number_digits, settings.policy.sign_in_seconds) == (1, 6, 60)


def test_the_file_may_be_named_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_SERVICE_CONFIG", str(written(tmp_path, "password_hash_waiting = 7\n")))
    assert config.load().password_hash_waiting == 7


def test_an_empty_variable_is_an_unset_one(environment: Callable[..., Settings]) -> None:
    assert environment(PUBLIC_URL="", LISTEN="").public_url is None


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("LISTEN", "[::1]:0", "[::1]:0"),
        ("LISTEN", "localhost:65535", "localhost:65535"),
        ("PUBLIC_URL", "https://login.example.org", "https://login.example.org"),
        ("PUBLIC_URL", "http://127.3.2.1:8400", "http://127.3.2.1:8400"),
        ("PUBLIC_URL", "http://a.localhost:8400", "http://a.localhost:8400"),
        ("PUBLIC_URL", "http://[::1]:8400", "http://[::1]:8400"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1/128", "10.0.0.0/8,::1/128"),
        ("TRUSTED_PROXIES", "192.0.2.7", "192.0.2.7/32"),
        ("LOG_LEVEL", "Warning", "warning"),
        ("LOG_FORMAT", "console", "console"),
        ("POLICY__CONFIRM", "tap", "tap"),
        ("POLICY__NUMBER_DIGITS", "8", "8"),
        ("POLICY__SIGN_IN_SECONDS", "1", "1"),
        ("POLICY__BEGINS_PER_PERSON", "7/2h", "7/2h"),
        ("POLICY__PROMPTS_UNANSWERED", "5/5m, 10/1d", "5/5m,10/1d"),
        ("ARGON2__MEMORY_KIB", "65536", "65536"),
        ("FIREBASE__CREDENTIALS", "/etc/firebase.json", "/etc/firebase.json"),
        ("TELEPHONY__FROM", "+441632960123", "+441632960123"),
        ("TELEPHONY__PROVIDER", "Webhook", "webhook"),
        ("TELEPHONY__LIMIT_TOTAL", "5/1h,20/1d", "5/1h,20/1d"),
        ("DATABASE_URL", "sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
    ],
)
def test_a_value_is_read_and_shown(environment: Callable[..., Settings], name: str, value: str, read: str) -> None:
    assert environment(**{name: value}).shown()[f"PUSH_SERVICE_{name}"] == read


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LISTEN", "8400", "must be host:port"),
        ("LISTEN", "localhost:65536", "must be host:port"),
        ("LISTEN", "::1:8400", "must be host:port"),
        ("LISTEN", ":8400", "must be host:port"),
        ("PUBLIC_URL", "http://login.example.org", "plain http is only for loopback names"),
        ("PUBLIC_URL", "http://127.0.0.1.example.org", "plain http is only for loopback names"),
        ("PUBLIC_URL", "http://localhost.example.org", "plain http is only for loopback names"),
        ("PUBLIC_URL", "https://login.example.org/", "written as https://login.example.org"),
        ("PUBLIC_URL", "https://login.example.org/a?b", "written as https://login.example.org"),
        ("PUBLIC_URL", "https://Login.example.org:443", "written as https://login.example.org"),
        ("PUBLIC_URL", "https://a:b@login.example.org", "must not carry a user name"),
        ("PUBLIC_URL", "login.example.org", "an absolute address is needed"),
        ("DATABASE_URL", "postgresql://db", "must name a database"),
        ("DATABASE_URL", "postgresql://db/x?password=secret", "before the host"),
        ("POSTGRES__CONNECTIONS", "1", "greater than or equal to 2"),
        ("DATABASE_URL", "mysql://db/x", "must be sqlite:///PATH"),
        ("DATABASE_URL", "sqlite:///", "must be sqlite:///PATH"),
        ("DATABASE_URL", "sqlite:///:memory:", "plain file"),
        ("BUS_URL", "nats://localhost", "must be local:, redis://"),
        ("BUS_URL", "local", "must be local:, redis://"),
        ("BUS_URL", "redis://", "names no host"),
        ("BUS_URL", "redis://localhost:port", "the port must be a number"),
        ("BUS_URL", "redis://localhost/3", "bells know no database numbers"),
        ("BUS_URL", "redis://word@localhost", "credentials are written USER:PASSWORD@"),
        ("BUS_URL", "redis://one,two", "several servers are named only of a cluster"),
        ("WORKERS", "2", "more than one needs a bus between processes"),
        ("WORKERS", "0", "must be greater than or equal to 1"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "has host bits set"),
        ("TRUSTED_PROXIES", "proxy.example.org", "does not appear to be"),
        ("LOG_LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error'"),
        ("LOG_FORMAT", "xml", "must be 'json' or 'console'"),
        ("ENCRYPTION_KEY", "c2hvcnQ", "must have 32 bytes"),
        ("ENCRYPTION_KEY", "+" * 43, "is not base64url"),
        ("ARGON2__MEMORY_KIB", "19455", "must be greater than or equal to 19456"),
        ("ARGON2__TIME_COST", "1", "must be greater than or equal to 2"),
        ("POLICY__CONFIRM", "shake", "must be 'number' or 'tap'"),
        ("POLICY__NUMBER_DIGITS", "1", "must be greater than or equal to 2"),
        ("POLICY__NUMBER_DIGITS", "9", "must be less than or equal to 8"),
        ("POLICY__SIGN_IN_SECONDS", "901", "must be less than or equal to 900"),
        ("POLICY__SIGN_IN_SECONDS", "soon", "must be a valid integer"),
        ("POLICY__WRONG_NUMBERS", "5 per day", "is not a rate such as 30/5m"),
        ("POLICY__PROMPTS_UNANSWERED", ",", "must be one or more rates"),
        ("POLICY__NUMBER_DIGIT", "2", "there is no such setting"),
        ("POLICY", "2", "is a group of settings"),
        ("TELEPHONY__PROVIDER", "pigeon", "must be 'twilio' or 'webhook'"),
        ("TELEPHONY__FROM", "+1 (555) 0100", "must be a number such as"),
        ("TELEPHONY__CALL_FROM", "Contoso", "must be a number such as"),
        ("TELEPHONY__LANGUAGE", "tlh", "must be 'en' or 'de'"),
        ("TELEPHONY__LIMIT_TOTAL", "lots", "is not a rate such as 30/5m"),
        ("TELEPHONY__TIMEOUT_SECONDS", "60", "must be less than or equal to 10"),
    ],
)
def test_a_mistake_is_told_in_one_line_that_begins_with_the_setting(
    environment: Callable[..., Settings], name: str, value: str, said: str
) -> None:
    with pytest.raises(InvalidSettings) as refused:
        environment(**{name: value})
    (line,) = refused.value.faults
    assert line.startswith(f"PUSH_SERVICE_{name}: ")
    assert said in line
    assert "\n" not in line


@pytest.mark.parametrize("bus", ["redis://localhost", "rediss://localhost", "redis+cluster://localhost"])
def test_several_workers_are_accepted_where_a_bus_between_processes_is_named(
    environment: Callable[..., Settings], bus: str
) -> None:
    assert environment(WORKERS="2", BUS_URL=bus).workers == 2


def test_every_mistake_is_told_at_once_by_the_name_that_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, "listn = 1\n[policy]\nnumber_digits = 9\nwrong_numbers = 3\nprompts_unanswered = [5]\n")
    monkeypatch.setenv("PUSH_SERVICE_WORKERS", "many")
    with pytest.raises(InvalidSettings) as refused:
        config.load(file)
    begun = sorted(line.partition(":")[0] for line in refused.value.faults)
    assert begun == [
        "PUSH_SERVICE_WORKERS",
        f"listn in {file}",
        f"policy.number_digits in {file}",
        f"policy.prompts_unanswered in {file}",
        f"policy.wrong_numbers in {file}",
    ]


@pytest.mark.parametrize(
    ("text", "said"), [("listen = ", "is not valid TOML"), ("\udcff", "can't be read")], ids=["no TOML", "no UTF-8"]
)
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InvalidSettings, match=said) as refused:
        config.load(file)
    assert str(file) in refused.value.faults[0]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"nowhere\.toml: can't be read: No such file"):
        config.load(tmp_path / "nowhere.toml")


@pytest.mark.security("S-68")
@pytest.mark.parametrize(
    "text",
    [
        f'encryption_key = "{KEY}"\n',
        '[telephony]\naccount_sid = "AC1"\nauth_token = "secret"\nfrom = "+441632960123"\n',
        'bus_url = "redis://:secret@localhost"\n',
        'database_url = "postgresql://service:secret@db/push_service"\n',
    ],
)
def test_a_file_with_a_secret_must_not_be_for_everyone(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    config.load(file)
    file.chmod(0o644)
    with pytest.raises(InvalidSettings, match="can be read by everyone"):
        config.load(file)


@pytest.mark.security("S-68")
def test_a_service_account_must_not_be_for_everyone(environment: Callable[..., Settings], tmp_path: Path) -> None:
    file = written(tmp_path, "{}")
    assert environment(FIREBASE__CREDENTIALS=str(file)).firebase.credentials == file
    file.chmod(0o644)
    with pytest.raises(InvalidSettings, match=r"FIREBASE__CREDENTIALS: .* can be read by everyone"):
        environment()


@pytest.mark.security("S-68")
def test_secrets_are_masked_when_shown_and_never_repeated_in_a_mistake(environment: Callable[..., Settings]) -> None:
    settings = environment(
        ENCRYPTION_KEY=KEY,
        TELEPHONY__ACCOUNT_SID="AC1",
        TELEPHONY__AUTH_TOKEN="hush-hush",
        TELEPHONY__FROM="+441632960123",
        BUS_URL="redis+cluster://ringer:pass-word@one:7000,two",
        DATABASE_URL="postgresql://service:hush-hush@db/push_service",
    )
    assert settings.shown()["PUSH_SERVICE_DATABASE_URL"] == "postgresql://service:********@db/push_service"
    shown = " ".join(settings.shown().values())
    assert KEY not in shown
    assert "hush-hush" not in shown
    assert "pass-word" not in shown
    assert "hush-hush" not in repr(settings)
    assert settings.key == bytes(32)
    with pytest.raises(InvalidSettings) as refused:
        environment(ENCRYPTION_KEY="hush-hush")
    assert "hush-hush" not in str(refused.value)
    with pytest.raises(InvalidSettings) as refused:
        environment(BUS_URL="redis://ringer:hush-hush")
    assert "hush-hush" not in str(refused.value)


def test_a_key_comes_from_one_place(environment: Callable[..., Settings]) -> None:
    with pytest.raises(InvalidSettings, match="not both"):
        environment(ENCRYPTION_KEY=KEY, ENCRYPTION_KEY_FILE="/etc/key")


def test_paths_do_not_depend_on_where_a_later_command_is_started(
    environment: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = environment(DATA_DIR="data", DATABASE_URL="sqlite:///people.db", ENCRYPTION_KEY_FILE="the.key")
    assert settings.data_dir == tmp_path / "data"
    assert settings.database_file == tmp_path / "data" / "people.db"
    assert settings.key_file == tmp_path / "the.key"


def test_the_policy_is_what_was_set(environment: Callable[..., Settings]) -> None:
    settings = environment(
        POLICY__WRONG_NUMBERS="2/1h", POLICY__PROMPTS_UNANSWERED="1/1m", POLICY__PHONE_COUNTRIES="ch,DE"
    )
    assert settings.policy.to_policy() == Policy(
        wrong_numbers=Rate(2, 3600), prompts_unanswered=(Rate(1, 60),), phone_countries=("CH", "DE")
    )


@pytest.mark.parametrize("written", ["Germany", "DE,XX", "001"])
def test_a_country_goes_by_its_iso_code(environment: Callable[..., Settings], written: str) -> None:
    with pytest.raises(InvalidSettings, match="ISO 3166-1"):
        environment(POLICY__PHONE_COUNTRIES=written)


def test_looking_at_settings_makes_nothing(environment: Callable[..., Settings], tmp_path: Path) -> None:
    assert not environment(DATA_DIR=str(tmp_path / "data")).data_dir.exists()


@pytest.mark.security("S-68")
def test_the_data_directory_is_its_owners_alone(environment: Callable[..., Settings], tmp_path: Path) -> None:
    settings = environment(DATA_DIR=str(tmp_path / "some" / "data"))
    config.make_data_dir(settings)
    config.make_data_dir(settings)
    assert settings.data_dir.stat().st_mode & 0o777 == 0o700
    settings.data_dir.chmod(0o750)
    with pytest.raises(InvalidSettings, match=r"PUSH_SERVICE_DATA_DIR.*by others"):
        config.make_data_dir(settings)


def test_a_data_directory_that_cannot_be_made_is_named(environment: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSettings, match=r"PUSH_SERVICE_DATA_DIR.*can't be made"):
        config.make_data_dir(environment(DATA_DIR=str(tmp_path / "file")))


def test_a_slip_of_the_pen_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_SERVICE_TRUSTED_PROXY", "10.0.0.0/8")
    monkeypatch.setenv("PUSH_SERVICE_WORKERS", "1")
    assert config.unread_names() == ("PUSH_SERVICE_TRUSTED_PROXY",)


def test_every_setting_is_described_and_documented() -> None:
    documented = (ROOT / "docs" / "settings.md").read_text()
    missing = [name for name in config.names() if f"`{name}`" not in documented]
    assert missing == []
    assert all(field.description for field in Settings.model_fields.values())


def test_the_example_file_is_valid_and_names_every_setting(tmp_path: Path) -> None:
    example = (ROOT / "config" / "push-service.toml").read_text()
    config.load(ROOT / "config" / "push-service.toml")
    assignments = [
        line.removeprefix("# ") for line in example.splitlines() if line.startswith(("# [", "[")) or "= " in line
    ]
    uncommented = written(tmp_path, "\n".join(line for line in assignments if not line.startswith("encryption_key =")))
    shown = config.load(uncommented).shown()
    section, named = "", set()
    for line in assignments:
        if line.startswith("["):
            section = f"{line.strip('[]')}__"
        else:
            named.add(f"PUSH_SERVICE_{section}{line.partition('=')[0].strip()}".upper())
    assert named == shown.keys()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"AUTH_TOKEN": "secret"}, "ACCOUNT_SID and FROM must be given"),
        ({"AUTH_TOKEN": "secret", "FROM": "+441632960123"}, "ACCOUNT_SID must be given"),
        ({"AUTH_TOKEN": "secret", "PROVIDER": "webhook"}, "BASE_URL must be given"),
        ({"BASE_URL": "https://api.example.org/path"}, "BASE_URL: an address with nothing after the host"),
        ({"BASE_URL": "http://api.example.org"}, "BASE_URL: plain http is only for loopback"),
        ({"BASE_URL": "https://a:b@api.example.org/x", "PROVIDER": "webhook"}, "must not carry a user name"),
    ],
)
def test_half_a_telephony_provider_is_none(
    environment: Callable[..., Settings], given: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidSettings, match=r"TELEPHONY") as refused:
        environment(**{f"TELEPHONY__{name}": value for name, value in given.items()})
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_calls_come_from_a_number_and_a_gateway_has_a_whole_address(environment: Callable[..., Settings]) -> None:
    def options(**given: str) -> tuple[str, str, str]:
        section = environment(**{f"TELEPHONY__{name}": value for name, value in given.items()}).telephony
        made = section.to_options("https://id.example.org", 0)
        assert made is not None
        assert section.is_set_up
        return made.sender, made.caller, made.base_url

    account = {"ACCOUNT_SID": "AC1", "AUTH_TOKEN": "secret"}
    assert options(**account, FROM="+441632960123") == ("+441632960123", "+441632960123", "https://api.twilio.com")
    named = options(**account, FROM="Contoso", CALL_FROM="+441632960124")
    assert named[:2] == ("Contoso", "+441632960124")
    assert options(**account, FROM="Contoso", CALL_FROM="")[1] == ""
    gateway = {"PROVIDER": "webhook", "AUTH_TOKEN": "secret", "ACCOUNT_SID": "", "FROM": "", "CALL_FROM": ""}
    assert options(**gateway, BASE_URL="https://gateway.example.org/send")[2] == "https://gateway.example.org/send"
    assert options(**gateway, BASE_URL="https://gateway.example.org")[2] == "https://gateway.example.org"
