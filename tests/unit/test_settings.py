"""Settings: read from where an operator writes them, refused by their name, printed without secrets."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from propusk.production import unsafe_in_production
from propusk.setting_types import Limit, format_duration, parse_duration
from propusk.settings import Algorithm, Settings, SettingsError, describe_faults, unknown_names

build: Any = Settings  # every field has a default, which mypy cannot see behind these annotations
KEY = "zq7canary-Kq2vV9x4LrT8mB1nW6yZ3cD5eF7gH0jP"
OLDER = "zq7canary-older-Kq2vV9x4LrT8mB1nW6yZ3cD5eF"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and no setting of ours in the environment."""
    import os

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("PROPUSK_")]:
        monkeypatch.delenv(name)
    return tmp_path


def faults(**values: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        build(**values)
    return describe_faults(refused.value)


def test_without_any_setting_the_defaults_hold() -> None:
    made = Settings.from_env()
    assert made.model_dump() == build().model_dump()
    assert (made.access_token_ttl, made.refresh_token_ttl) == (timedelta(minutes=10), timedelta(days=30))
    assert (made.session_max_age, made.refresh_grace) == (timedelta(days=180), timedelta(seconds=10))
    assert made.token_algorithm is Algorithm.EDDSA
    assert not made.secure


def test_the_environment_wins_over_the_env_file_and_that_over_toml(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "propusk.toml").write_text('audience = "toml"\ntoken_algorithm = "ES256"\nworkers = 3\n')
    (folder / ".env").write_text("PROPUSK_AUDIENCE=dotenv\nPROPUSK_WORKERS=2\nOTHER=x\n")
    monkeypatch.setenv("PROPUSK_AUDIENCE", "environment")
    made = Settings.from_env()
    assert (made.audience, made.workers, made.token_algorithm) == ("environment", 2, Algorithm.ES256)
    assert Settings.from_env(audience="caller").audience == "caller"


def test_an_apps_own_defaults_stand_where_nothing_else_says_anything(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = {"audience": "app", "workers": 5, "access_token_ttl": "1h", "password": {"min_length": 12}}
    (folder / "propusk.toml").write_text("workers = 3\n")
    monkeypatch.setenv("PROPUSK_ACCESS_TOKEN_TTL", "2m")
    monkeypatch.setenv("PROPUSK_PASSWORD__ITERATIONS", "2")
    made = Settings.from_env(defaults, refresh_grace=timedelta(0))
    assert (made.audience, made.workers, made.access_token_ttl) == ("app", 3, timedelta(minutes=2))
    assert (made.password.min_length, made.password.iterations, made.refresh_grace) == (12, 2, timedelta(0))
    assert Settings.from_env().audience is None
    with pytest.raises(SettingsError, match=r"^max_sessions_per_user: "):
        Settings.from_env({"max_sessions_per_user": 0})


def test_nested_names_lists_durations_and_limits_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPUSK_SECRET_KEY", f"{KEY}, {OLDER}")
    monkeypatch.setenv("PROPUSK_LIMITS__LOGIN_PAIR", "3/90s")
    monkeypatch.setenv("PROPUSK_PASSWORD__MIN_LENGTH", "15")
    monkeypatch.setenv("PROPUSK_REFRESH_GRACE", "0s")
    monkeypatch.setenv("PROPUSK_TRUSTED_PROXIES", "10.0.0.0/8,::1/128")
    monkeypatch.setenv("PROPUSK_SERVICE_HOST", "10.1.2.3")
    monkeypatch.setenv("PROPUSK_PORT_8000_TCP", "tcp://10.1.2.3:8000")
    made = Settings.from_env()
    assert [key.get_secret_value() for key in made.secret_key] == [KEY, OLDER]
    assert made.limits.login_pair == Limit(3, timedelta(seconds=90))
    assert (made.password.min_length, made.refresh_grace) == (15, timedelta(0))
    assert [str(network) for network in made.trusted_proxies] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize("name", ["PROPUSK_SECRETKEY", "PROPUSK_LIMITS__LOGINS", "propusk_audiense", "PROPUSK_"])
def test_an_unknown_name_stops_the_start_and_is_named(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "zq7canary")
    with pytest.raises(SettingsError) as refused:
        Settings.from_env()
    assert name in str(refused.value)
    assert "zq7canary" not in str(refused.value)

    monkeypatch.delenv(name)
    (folder / ".env").write_text(f"{name}=zq7canary\n")
    with pytest.raises(SettingsError, match=name):
        Settings.from_env()


@pytest.mark.parametrize("name", ["password", "limits"])
def test_a_group_that_is_given_as_a_whole_and_is_no_json_is_a_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PROPUSK_{name.upper()}", "zq7canary")
    with pytest.raises(SettingsError, match=rf"^{name}: .* PROPUSK_{name.upper()}__…, or all of it as JSON$"):
        Settings.from_env()
    monkeypatch.setenv("PROPUSK_PASSWORD", '{"min_length": 9}')
    monkeypatch.setenv("PROPUSK_LIMITS", '{"refresh": "5/1m"}')
    made = Settings.from_env()
    assert (made.password.min_length, made.limits.refresh) == (9, Limit(5, timedelta(minutes=1)))


def test_an_unknown_name_in_toml_stops_the_start(folder: Path) -> None:
    (folder / "propusk.toml").write_text('audiense = "zq7canary"\n')
    with pytest.raises(SettingsError) as refused:
        Settings.from_env()
    assert "audiense" in str(refused.value)
    assert "zq7canary" not in str(refused.value)


def test_what_kubernetes_injects_is_no_setting() -> None:
    injected = {"PROPUSK_SERVICE_HOST": "", "PROPUSK_PORT": "", "PROPUSK_PORT_80_TCP_ADDR": "", "HOME": ""}
    assert unknown_names(injected) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("secret_key", ["zq7canary"]),
        ("secret_key", [KEY, KEY]),
        ("secret_key", ["zq7canary" + "x" * 22]),
        *(
            ("public_url", url)
            for url in ("", "auth.example.com", "ftp://x", "https://", "https://u:zq7canary@x", "https://x?y")
        ),
        ("public_url", "https://x#y"),
        *(("public_url", f"http://a:{port}") for port in ("99999", "zq7canary", "0", "-1")),
        ("public_url", "https://про пуск.рф"),
        ("public_url", "https://xn--пропуск.рф"),
        ("public_url", "https://a.example.com/вход"),
        *(("public_url", f"https://a.example.com{rest}") for rest in (" b", "/a b", "/\n", "/../y", "/%2E%2e", "/.")),
        *((name, " ") for name in ("audience", "metrics_token")),
        *((name, "") for name in ("data_dir", "signing_key_file", "metrics_token", "templates_dir")),
        *((f"{name}_ttl", "0s") for name in ("verify_token", "reset_token", "email_undo", "unverified_user")),
        *(("access_token_ttl", span) for span in ("0s", "10", "-1s", "1.5m", "ten minutes", "1w", "")),
        ("password", {"memory_kib": 1 << 32}),
        ("password", {"iterations": 1 << 32}),
        ("refresh_token_ttl", "181d"),
        ("session_max_age", "1d"),
        ("session_max_age", "36501d"),
        ("session_max_age", timedelta(days=36501)),
        ("refresh_grace", "999999999d"),
        ("refresh_grace", timedelta(seconds=-1)),
        ("refresh_grace", "61m"),
        ("shutdown_delay", "61m"),
        ("login_floor", "6s"),
        ("limits", {"refresh": "5/999999999d"}),
        ("limits", {"refresh": "2147483648/1m"}),
        ("limits", {"refresh": Limit(1 << 31, timedelta(minutes=1))}),
        ("limits", {"refresh": "²/1m"}),
        ("token_algorithm", "none"),
        ("token_algorithm", "RS512"),
        ("introspection_clients", ["gateway:zq7canary"]),
        ("introspection_clients", [":" + "a" * 64]),
        ("introspection_clients", ["gateway"]),
        ("trusted_proxies", ["10.0.0.1/8"]),
        ("trusted_proxies", ["everybody"]),
        ("workers", 0),
        ("environment", "staging"),
        ("registration", "maybe"),
        ("audience", ""),
        ("limits", {"login_pair": "10"}),
        ("limits", {"login_pair": "0/1m"}),
        ("password", {"min_length": 7}),
        ("unheard_of", 1),
    ],
)
def test_a_bad_value_is_refused_and_named_and_not_shown(name: str, value: Any) -> None:
    said = faults(**{name: value})
    assert "zq7canary" not in said
    assert said.splitlines()
    # Of two durations that do not fit together, the message names both.
    assert name in said


def test_every_fault_is_named_at_once() -> None:
    assert len(faults(workers=0, public_url="x", environment="y").splitlines()) == 3


@pytest.mark.parametrize(
    ("url", "origin", "secure"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", False),
        ("https://auth.example.com", "https://auth.example.com", True),
        ("https://auth.example.com:443/", "https://auth.example.com", True),
        ("http://auth.example.com:80/sso/", "http://auth.example.com", False),
        ("https://Auth.Example.com/sso", "https://auth.example.com", True),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443", True),
        ("https://пропуск.рф", "https://xn--j1ahcbdin.xn--p1ai", True),
        ("https://Пропуск.рф:8443/sso/", "https://xn--j1ahcbdin.xn--p1ai:8443", True),
    ],
)
def test_the_origin_is_what_browsers_send(url: str, origin: str, secure: bool) -> None:
    made = build(public_url=url)
    assert (made.origin, made.secure) == (origin, secure)


def test_an_address_outside_ascii_is_written_as_browsers_send_it() -> None:
    assert build(public_url="https://Пропуск.рф:8443/sso/").public_url == "https://xn--j1ahcbdin.xn--p1ai:8443/sso"


def test_the_longest_durations_can_be_added_to_the_time() -> None:
    made = build(session_max_age="36500d", refresh_token_ttl="36500d", login_floor="5s", refresh_grace="1h")
    assert datetime.now(UTC) + made.session_max_age
    assert (made.login_floor, made.refresh_grace) == (timedelta(seconds=5), timedelta(hours=1))


def test_the_audience_is_the_address_unless_given() -> None:
    assert build(public_url="https://auth.example.com/").token_audience == "https://auth.example.com"
    assert build(audience="shop").token_audience == "shop"


@pytest.mark.parametrize("text", ["0s", "1s", "90s", "10m", "2h", "30d", "61m", "25h"])
def test_a_duration_is_written_as_it_was_read(text: str) -> None:
    span = parse_duration(text)
    assert isinstance(span, timedelta)
    assert parse_duration(format_duration(span)) == span


def test_settings_print_no_secret() -> None:
    made = build(
        secret_key=[KEY],
        database_url=f"postgresql://u:{KEY}@x/y",
    )
    assert "zq7canary" not in repr(made) + str(made) + made.model_dump_json()


def test_t61_production_refuses_what_is_unsafe_and_names_each_thing(tmp_path: Path) -> None:
    found = unsafe_in_production(build(environment="production"))
    needed = ("public_url", "secret_key", "signing_key_file", "mail_url")
    assert len(found) == len(needed)
    assert [word for word in needed if not any(word in f for f in found)] == []

    good: dict[str, Any] = {
        "environment": "production",
        "public_url": "https://auth.example.com",
        "secret_key": [KEY],
        "signing_key_file": tmp_path / "keys.pem",
        "mail_url": "smtp://me:zq7canary@mail.example.com",
        "mail_from": "no-reply@example.com",
    }
    assert unsafe_in_production(build(**good)) == []
    assert unsafe_in_production(build(**{**good, "signing_key_file": None, "token_algorithm": "HS256"})) == []
    for change in (
        {"secret_key": ["change-me-" + KEY]},
        {"metrics": True},
        {"secret_key": ["a" * 64]},
        {"password": {"memory_kib": 8}},
        {"password": {"iterations": 1}},
        {"public_url": "http://auth.example.com"},
        {"mail_url": None},
        {"mail_url": "smtp://mail.example.com?security=none"},
    ):
        assert len(unsafe_in_production(build(**{**good, **change}))) == 1, change
