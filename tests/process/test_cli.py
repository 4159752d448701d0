"""The command line, as real processes."""

import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from propusk.cli.settings_list import all_settings, reference
from propusk.crypto.keyring import generate_key
from propusk.db.revision import newest_revision
from propusk.settings import Algorithm
from tests.backends import Backend
from tests.process.service import NO_LIMITS, PATIENCE, PROGRAM, SECRET_KEY, Service, environment, propusk

pytestmark = pytest.mark.xdist_group("processes")
PASSWORD = "zq7canary one two three"
ROOT = Path(__file__).parents[2]
STRONG = {"PROPUSK_PASSWORD__MEMORY_KIB": "19456", "PROPUSK_PASSWORD__ITERATIONS": "2"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service in development, on SQLite, with nothing set but cheap hashing and no limits."""
    with Service(tmp_path_factory.mktemp("service"), env=NO_LIMITS) as running:
        yield running


def make_person(service: Service, name: str, *options: str) -> dict[str, Any]:
    done = service.run("users", "create", "--email", f"{name}@example.com", "--json", *options, stdin=PASSWORD + "\n")
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def log_in(service: Service, name: str, password: str = PASSWORD) -> httpx.Response:
    body = {"login": f"{name}@example.com", "password": password}
    return httpx.post(f"{service.url}/auth/login", json=body, timeout=PATIENCE)


def is_in(service: Service, login: httpx.Response) -> bool:
    headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
    with httpx.Client(headers=headers, timeout=PATIENCE) as client:
        answer = client.get(f"{service.url}/users/me")
        if answer.status_code == 503:  # a process that idled reads its keys first, and gives that a few seconds
            answer = client.get(f"{service.url}/users/me")
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


def production(folder: Path, **changes: str | None) -> dict[str, str]:
    """Settings that production starts with, but for `changes`; None leaves one out."""
    keys = folder / "keys.pem"
    if not keys.exists():
        keys.touch(0o600)
        keys.write_bytes(generate_key(Algorithm.EDDSA).pem)
    safe: dict[str, str | None] = {
        "PROPUSK_ENVIRONMENT": "production",
        "PROPUSK_PUBLIC_URL": "https://id.example.com",
        "PROPUSK_SECRET_KEY": SECRET_KEY,
        "PROPUSK_SIGNING_KEY_FILE": str(keys),
        "PROPUSK_MAIL_URL": "smtp://me:zq7canary@localhost:1",  # nobody is there: mails wait
        "PROPUSK_MAIL_FROM": "no-reply@example.com",
        **STRONG,
    }
    named = {f"PROPUSK_{name}": value for name, value in changes.items()}
    return {name: value for name, value in (safe | named).items() if value is not None}


def test_a_user_made_here_is_verified_and_can_log_in(service: Service) -> None:
    made = make_person(service, "root", "--superuser", "--username", "Root.1", "--name", "Ruth", "--locale", "en")
    assert made["is_superuser"] and made["is_verified"]
    assert (made["username"], made["name"], made["locale"]) == ("Root.1", "Ruth", "en")
    assert made["created_at"].endswith("Z")
    assert log_in(service, "root").status_code == 200


def test_a_user_made_without_a_password_cannot_log_in(service: Service) -> None:
    make_person(service, "mute", "--no-password")
    assert log_in(service, "mute", "").status_code == 401


def test_a_password_is_asked_for_twice_at_a_terminal_and_never_shown(service: Service) -> None:
    master, slave = os.openpty()
    process = subprocess.Popen(
        [PROGRAM, "users", "create", "--email", "tty@example.com"],
        cwd=service.folder,
        env=environment(service.env),
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown = ""
    for question in ("Password", "Once more"):
        while question not in shown:
            shown += os.read(master, 1000).decode()
        os.write(master, f"{PASSWORD}\n".encode())
    out, _ = process.communicate(timeout=PATIENCE)
    os.close(master)
    assert process.returncode == 0
    assert b"tty@example.com" in out
    assert "zq7canary" not in shown + out.decode()
    assert log_in(service, "tty").status_code == 200


def test_a_person_is_named_by_email_username_or_id_in_any_case(service: Service) -> None:
    made = make_person(service, "named", "--username", "Na-med")
    for spelling in ("NAMED@Example.com", "na-MED", made["id"], made["id"].upper()):
        done = service.run("users", "show", spelling, "--json")
        assert json.loads(done.stdout)["id"] == made["id"], spelling


def test_users_are_listed_as_an_array_of_everybody_or_as_lines(service: Service) -> None:
    made = [make_person(service, f"listed{n}")["id"] for n in range(2)]
    everybody = [user["id"] for user in json.loads(service.run("users", "list", "--json").stdout)]
    assert set(made) <= set(everybody)
    newest = json.loads(service.run("users", "list", "--json", "--limit", "1").stdout)
    assert [user["id"] for user in newest] == [made[1]]
    lines = service.run("users", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == everybody


def test_what_was_understood_and_refused_ends_with_1_and_a_sentence(service: Service) -> None:
    make_person(service, "twice")
    for arguments, password, sentence in (
        (["users", "create", "--email", "TWICE@example.com"], PASSWORD, "Another user has this e-mail address."),
        (["users", "create", "--email", "no address"], PASSWORD, "email: "),
        (["users", "create", "--email", "weak@example.com"], "password", "password: "),
        (["users", "show", "nobody\x1b[2J\u202e"], "", "there is nobody with"),
        (
            ["users", "sessions", "twice@example.com", "--end", "01a1fc6f-82da-71ce-83bd-491b5092b080"],
            "",
            "twice@example.com has no session 01a1fc6f-82da-71ce-83bd-491b5092b080",
        ),
        (["users", "set-password", "twice@example.com"], f"{PASSWORD}\0", "password: This is no text"),
        (["keys", "revoke", "-unknown"], "", "no such key"),
    ):
        done = service.run(*arguments, stdin=password + "\n")
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert done.stderr.startswith("Error: ") and sentence in done.stderr
        assert "\x1b" not in done.stderr and "\u202e" not in done.stderr
        assert "Traceback" not in done.stderr


def test_what_was_not_understood_ends_with_2(service: Service) -> None:
    for arguments in (
        ["unknown"],
        ["users", "create"],
        ["users", "create", "--email", "a@example.com", "--password", PASSWORD],
        ["users", "create", "--email", "a@example.com"],  # and nothing on standard input
        ["users", "list", "--limit", "0"],
        ["users", "sessions", "a", "--end-all", "--end", "01a1fc6f-82da-71ce-83bd-491b5092b080"],
        ["serve", "--port", "0"],
    ):
        done = service.run(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments


def test_t11_the_last_superuser_is_neither_demoted_nor_deactivated_nor_deleted(tmp_path: Path) -> None:
    env = {"PROPUSK_DATABASE_URL": f"sqlite:///{tmp_path / 'own.db'}"}
    assert propusk(tmp_path, "migrate", env=env).returncode == 0
    create = ["users", "create", "--email", "only@example.com", "--superuser", "--no-password"]
    assert propusk(tmp_path, *create, env=env).returncode == 0
    for command in (["demote"], ["deactivate"], ["delete", "--yes"]):
        done = propusk(tmp_path, "users", *command, "only@example.com", env=env)
        assert done.returncode == 1
        assert "make another active superuser first" in done.stderr


def test_deactivation_a_new_password_and_ending_all_sessions_reach_a_running_service_at_once(service: Service) -> None:
    make_person(service, "ended")
    for command, password in (
        (["deactivate", "ended@example.com"], None),
        (["set-password", "ended@example.com"], PASSWORD),
        (["sessions", "ended@example.com", "--end-all"], None),
    ):
        login = log_in(service, "ended")
        assert is_in(service, login)
        done = service.run("users", *command, stdin=f"{password}\n" if password else None)
        assert done.returncode == 0, done.stderr
        assert not is_in(service, login), command
        assert service.run("users", "activate", "ended@example.com").returncode == 0
    changed = service.run("users", "set-password", "ended@example.com", stdin="zq7canary another one\n")
    assert changed.returncode == 0
    assert log_in(service, "ended").status_code == 401
    assert log_in(service, "ended", "zq7canary another one").status_code == 200


def test_one_session_is_listed_and_ended_and_the_other_stays(service: Service) -> None:
    make_person(service, "two")
    kept, ended = log_in(service, "two"), log_in(service, "two")
    listed = json.loads(service.run("users", "sessions", "two@example.com", "--json").stdout)
    assert [s["id"] for s in listed] == [ended.json()["session_id"], kept.json()["session_id"]]
    done = service.run("users", "sessions", "two@example.com", "--end", ended.json()["session_id"], "--json")
    assert json.loads(done.stdout) == {"revoked": 1}
    assert (is_in(service, kept), is_in(service, ended)) == (True, False)


def test_promotion_reaches_a_running_service_at_once(service: Service) -> None:
    make_person(service, "climber")
    bearer = {"Authorization": f"Bearer {log_in(service, 'climber').json()['access_token']}"}
    assert httpx.get(f"{service.url}/users", headers=bearer, timeout=PATIENCE).status_code == 403
    assert service.run("users", "promote", "climber@example.com").returncode == 0
    assert httpx.get(f"{service.url}/users", headers=bearer, timeout=PATIENCE).status_code == 200


def test_deletion_asks_unless_told_not_to(service: Service) -> None:
    make_person(service, "gone")
    assert service.run("users", "delete", "gone@example.com", stdin="n\n").returncode == 1
    assert service.run("users", "show", "gone@example.com").returncode == 0
    made = json.loads(service.run("users", "show", "gone@example.com", "--json").stdout)
    done = service.run("users", "delete", "gone@example.com", "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"deleted": made["id"]})
    assert service.run("users", "show", "gone@example.com").returncode == 1


def test_where_the_schema_stands_is_told_to_programs_and_an_unknown_revision_is_a_sentence(tmp_path: Path) -> None:
    newest = newest_revision()
    for arguments, there in ((["down", "--yes"], None), (["status"], None), (["up"], newest), (["status"], newest)):
        done = propusk(tmp_path, "migrate", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["schema"], told["current"]) == (there, there == told["this_version"]), arguments
    for arguments in (["up", "--revision", "garbage\x1b[2J"], ["down", "--yes", "--revision", "garbage"]):
        done = propusk(tmp_path, "migrate", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("Error: ") and "garbage" in done.stderr
        assert "Traceback" not in done.stderr and "\x1b" not in done.stderr


def test_t57_a_rotated_key_waits_and_a_revoked_one_is_refused_everywhere_when_the_command_returns(
    tmp_path: Path,
) -> None:
    with Service(tmp_path, env=NO_LIMITS, workers=2) as service:
        make_person(service, "keyed")
        login = log_in(service, "keyed")
        old = json.loads(service.run("keys", "list", "--json").stdout)
        assert [key["state"] for key in old] == ["signing"]
        new = json.loads(service.run("keys", "rotate", "--json").stdout)
        states = {key["kid"]: key["state"] for key in json.loads(service.run("keys", "list", "--json").stdout)}
        assert states == {old[0]["kid"]: "signing", new["kid"]: "published"}
        assert is_in(service, login)
        revoked = service.run("keys", "revoke", old[0]["kid"], "--json")
        assert revoked.returncode == 0, revoked.stderr
        assert json.loads(revoked.stdout) == {"revoked": old[0]["kid"]}
        assert "waiting" in revoked.stderr
        assert not any(is_in(service, login) for _ in range(20))
        assert is_in(service, log_in(service, "keyed"))
        only = service.run("keys", "revoke", new["kid"])
        assert (only.returncode, "rotate first" in only.stderr) == (1, True)


def test_t57_a_key_that_cannot_be_written_is_printed_with_what_to_do(tmp_path: Path) -> None:
    assert propusk(tmp_path, "migrate").returncode == 0
    # A folder where the new file would be made: no permission is needed to be stopped by it, not even root's.
    (tmp_path / "propusk-data" / "signing_keys.pem.new").mkdir()
    done = propusk(tmp_path, "keys", "rotate")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("-----BEGIN PRIVATE KEY-----")
    assert "signing_keys.pem cannot be written" in done.stderr
    assert "PRIVATE" not in done.stderr


def test_commands_refuse_a_missing_data_dir_and_name_it_but_config_and_doctor_report_it(tmp_path: Path) -> None:
    for command in (["users", "list"], ["keys", "list"]):
        done = propusk(tmp_path, *command)
        assert done.returncode == 1
        assert str(tmp_path / "propusk-data") in done.stderr
    for command in (["config"], ["doctor"]):
        done = propusk(tmp_path, *command)
        assert done.returncode == 0
        assert str(tmp_path / "propusk-data") in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_config_shows_every_setting_and_where_it_comes_from_without_any_secret(tmp_path: Path) -> None:
    (tmp_path / "propusk.toml").write_text('registration = "closed"\n[limits]\nrefresh = "5/1m"\n')
    (tmp_path / ".env").write_text("PROPUSK_WORKERS=3\nOTHER=1\n")
    env = {
        "PROPUSK_DATABASE_URL": "postgresql://ada:zq7canary@db.example.com/propusk?password=zq7canary",
        "PROPUSK_SECRET_KEY": SECRET_KEY,
        "PROPUSK_INTROSPECTION_CLIENTS": "api:" + "0" * 64,
    }
    done = propusk(tmp_path, "config", "--json", env=env)
    shown = json.loads(done.stdout)
    assert list(shown) == [setting.name for setting in all_settings()]
    assert shown["registration"] == {"value": "closed", "source": "propusk.toml"}
    assert shown["limits.refresh"] == {"value": "5/1m", "source": "propusk.toml"}
    assert shown["workers"] == {"value": "3", "source": ".env"}
    assert shown["access_token_ttl"] == {"value": "10m", "source": "default"}
    assert "db.example.com" in shown["database_url"]["value"]
    text = propusk(tmp_path, "config", env=env)
    for output in (done, text):
        assert output.returncode == 0
        assert "zq7canary" not in output.stdout + output.stderr
        assert "0" * 64 not in output.stdout


def test_every_setting_is_described_and_the_reference_is_up_to_date() -> None:
    assert [setting.name for setting in all_settings() if len(setting.description) < 8] == []
    written = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert written == reference() + "\n", "run: make docs"


def test_a_setting_that_is_unknown_or_cannot_be_stops_every_command_and_is_named(tmp_path: Path) -> None:
    for env, named in (
        ({"PROPUSK_ACCES_TOKEN_TTL": "zq7canary"}, "PROPUSK_ACCES_TOKEN_TTL: no such setting"),
        ({"PROPUSK_ACCESS_TOKEN_TTL": "zq7canary"}, "access_token_ttl: "),
        ({"PROPUSK_SECRET_KEY": "zq7canary"}, "secret_key: each key needs at least 32 characters"),
        ({"PROPUSK_PASSWORD": "zq7canary"}, "password"),
        ({"PROPUSK_DATABASE_URL": "oracle://a:zq7canary@b/c"}, "database_url: "),
        ({"PROPUSK_DATABASE_URL": "postgresql://u:p@host:zq7canary/db"}, "database_url: "),
        ({"PROPUSK_DATABASE_URL": "mysql://u:p@host/db?zq7=zq7canary"}, "database_url: there is no option 'zq7'"),
    ):
        done = propusk(tmp_path, "serve", env=env)
        assert done.returncode == 1
        assert named in done.stderr
        assert "zq7canary" not in done.stderr and "Traceback" not in done.stderr
    for command in ("doctor", "config", "migrate"):
        done = propusk(tmp_path, command, env={"PROPUSK_DATABASE_URL": "postgresql://u:p@host:zq7canary/db"})
        assert "not a database URL" in done.stdout + done.stderr
        assert "zq7canary" not in done.stdout + done.stderr and "Traceback" not in done.stderr
    (tmp_path / ".env").write_text("PROPUSK_WORKER=1\n")
    assert "PROPUSK_WORKER: no such setting" in propusk(tmp_path, "serve").stderr


def test_doctor_finds_what_is_wrong_and_says_what_to_do(tmp_path: Path) -> None:
    def look(env: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        done = propusk(tmp_path, "doctor", "--json", env=env)
        return done.returncode, {finding["about"]: finding for finding in json.loads(done.stdout)}

    assert propusk(tmp_path, "migrate", "down", "--yes").returncode == 0
    status, found = look()
    assert (status, found["schema"]["advice"]) == (1, "run propusk migrate")
    assert propusk(tmp_path, "migrate").returncode == 0
    assert propusk(tmp_path, "users", "list").returncode == 0
    status, found = look()
    assert status == 0, found
    assert {found[about]["status"] for about in ("data_dir", "keys", "database", "schema", "secret_key")} == {"ok"}
    assert found["safety"]["status"] == "warn"
    assert look({"PROPUSK_SECRET_KEY": SECRET_KEY})[1]["secret_key"]["status"] == "fail"
    assert look({"PROPUSK_ENVIRONMENT": "production"})[1]["safety"]["status"] == "fail"
    away = look({"PROPUSK_DATABASE_URL": "postgresql://a:zq7canary@127.0.0.1:1/c"})
    assert (away[0], away[1]["database"]["status"], "zq7canary" in str(away)) == (1, "fail", False)
    keys = tmp_path / "propusk-data" / "signing_keys.pem"
    keys.chmod(0o640)
    status, found = look()
    assert (status, found["keys"]["status"], found["data_dir"]["status"]) == (0, "warn", "warn")
    keys.chmod(0o644)
    status, found = look()
    assert (status, found["keys"]["status"]) == (1, "fail")
    assert found["data_dir"]["advice"] == f"chmod 600 {keys}"


@pytest.fixture
def without_power(tmp_path: Path) -> str:
    """The command, for which the modes of files hold though we be root."""
    if os.geteuid() != 0:
        return PROGRAM
    script = tmp_path / "without-power"
    taken = "-dac_override,-dac_read_search"
    script.write_text(f'#!/bin/sh\nexec setpriv --bounding-set={taken} --inh-caps={taken} {PROGRAM} "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_doctor_says_what_it_may_not_look_at(tmp_path: Path, without_power: str) -> None:
    def look() -> tuple[int, dict[str, Any]]:
        done = propusk(tmp_path, "doctor", "--json", program=without_power)
        return done.returncode, {finding["about"]: finding for finding in json.loads(done.stdout)}

    assert propusk(tmp_path, "migrate").returncode == 0
    assert propusk(tmp_path, "users", "list").returncode == 0
    folder = tmp_path / "propusk-data"
    folder.chmod(0)
    status, found = look()
    folder.chmod(0o700)
    assert (status, [found[about]["status"] for about in ("data_dir", "keys", "database")]) == (1, ["fail"] * 3)
    assert found["data_dir"]["detail"] == f"{folder}: Permission denied"
    (folder / "secret_key").chmod(0o644)
    status, found = look()
    assert (status, found["schema"]["status"], found["secret_key"]["status"]) == (1, "ok", "fail")


def test_an_sqlite_file_that_cannot_be_written_stops_every_command_and_is_named(
    tmp_path: Path, without_power: str
) -> None:
    assert propusk(tmp_path, "migrate").returncode == 0
    folder = tmp_path / "propusk-data"
    with Service(tmp_path):  # whose -wal and -shm make the file readable
        folder.chmod(0o500)
        for command in (["serve"], ["migrate"], ["users", "create", "--email", "a@example.com"]):
            done = propusk(tmp_path, *command, stdin=PASSWORD + "\n", program=without_power)
            assert (done.returncode, done.stdout) == (1, ""), command
            assert done.stderr == (
                f"Error: data_dir: {folder / 'propusk.db'} cannot be written ({folder}: Permission denied)\n"
            )
        done = propusk(tmp_path, "doctor", "--json", program=without_power)
        folder.chmod(0o700)
    found = {finding["about"]: finding for finding in json.loads(done.stdout)}
    assert (done.returncode, found["database"]["status"]) == (1, "fail")
    assert f"cannot be written: {folder}" in found["database"]["detail"]


def test_a_data_dir_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "propusk-data").touch()
    for command in (["serve"], ["migrate"], ["users", "list"]):
        done = propusk(tmp_path, *command)
        assert (done.returncode, done.stdout) == (1, ""), command
        assert done.stderr.startswith("Error: data_dir") and str(tmp_path / "propusk-data") in done.stderr
    assert propusk(tmp_path, "doctor").returncode == 1


def test_doctor_says_that_the_command_line_changes_the_address(tmp_path: Path) -> None:
    for env, is_said in (({}, True), ({"PROPUSK_PUBLIC_URL": "http://127.0.0.1:9000"}, False)):
        assert ("serve's --host and --port" in propusk(tmp_path, "doctor", env=env).stdout) == is_said


def test_doctor_compares_clocks_with_the_database(backend: Backend, tmp_path: Path) -> None:
    done = propusk(tmp_path, "doctor", "--json", env={"PROPUSK_DATABASE_URL": backend.url})
    clocks = [finding for finding in json.loads(done.stdout) if finding["about"] == "clock"]
    assert [clock["status"] for clock in clocks] == ["ok"], done.stdout
    assert ("SQLite" if backend.name == "sqlite" else "database server's") in clocks[0]["detail"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"PUBLIC_URL": "http://id.example.com"}, ["public_url"]),
        ({"SECRET_KEY": None}, ["secret_key"]),
        ({"SECRET_KEY": "change-me-zq7canary-0123456789-abcdefgh"}, ["secret_key"]),
        ({"SIGNING_KEY_FILE": None}, ["signing_key_file"]),
        ({"PASSWORD__MEMORY_KIB": "8"}, ["password.memory_kib"]),
        ({"MAIL_URL": None}, ["mail_url"]),
        ({"MAIL_URL": "smtp://me:zq7canary@localhost?security=none"}, ["mail_url"]),
        (
            {"PUBLIC_URL": None, "SECRET_KEY": None, "SIGNING_KEY_FILE": None, "PASSWORD__ITERATIONS": "1"},
            ["public_url", "secret_key", "signing_key_file", "password.iterations"],
        ),
    ],
    ids="+".join,
)
def test_t11_production_refuses_to_start_with_anything_unsafe_and_names_each(
    tmp_path: Path, changes: dict[str, str | None], named: list[str]
) -> None:
    done = propusk(tmp_path, "serve", env=production(tmp_path, **changes))
    assert done.returncode == 1
    assert [name for name in named if name not in done.stderr] == []
    assert "zq7canary" not in done.stderr
    assert not (tmp_path / "propusk-data").exists()


def test_serve_refuses_a_server_database_with_an_old_schema_and_names_the_command(
    empty_database: Backend, tmp_path: Path
) -> None:
    env = {"PROPUSK_DATABASE_URL": empty_database.url}
    done = propusk(tmp_path, "serve", env=env)
    assert done.returncode == 1
    assert "run propusk migrate" in done.stderr
    done = propusk(tmp_path, "migrate", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    with Service(tmp_path, env=env) as service:
        make_person(service, "there")
        assert log_in(service, "there").status_code == 200
        foreign = propusk(tmp_path, "serve", env={**env, "PROPUSK_SECRET_KEY": SECRET_KEY})
        assert foreign.returncode == 1
        assert "another secret_key" in foreign.stderr


def test_t55_files_are_ours_alone_whatever_the_umask_and_hold_no_usable_secret(tmp_path: Path) -> None:
    with Service(tmp_path, env=NO_LIMITS, umask=0) as service:
        made = {"email": "rest@example.com", "password": PASSWORD}
        assert httpx.post(f"{service.url}/auth/register", json=made, timeout=PATIENCE).status_code == 201
        tokens = log_in(service, "rest").json()
        folder = tmp_path / "propusk-data"
        end = time.monotonic() + PATIENCE
        while not (folder / "mail").is_dir() and time.monotonic() < end:
            time.sleep(0.05)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {"propusk.db", "propusk.db-wal", "propusk.db-shm", "secret_key", "signing_keys.pem"} <= set(modes)
        assert modes.pop("mail") == 0o700, "a folder"
        assert set(modes.values()) == {0o600}, modes
        for path in folder.glob("propusk.db*"):
            held = path.read_bytes()
            for secret in (PASSWORD, tokens["access_token"], tokens["refresh_token"]):
                assert secret.encode() not in held, path.name


def test_t55_a_folder_that_is_open_to_others_is_mentioned_once(tmp_path: Path) -> None:
    folder = tmp_path / "propusk-data"
    folder.mkdir()
    for mode, times in ((0o750, 1), (0o700, 0)):
        folder.chmod(mode)
        with Service(tmp_path, workers=2) as service:
            before = service.logs()
        assert before.count(f"others may look into {folder}") == 1, "of both starts"
        assert before.count("Propusk on") == 2 - times


def test_the_banner_says_where_everything_is_and_what_is_a_development_default(service: Service) -> None:
    lines = {line.split()[0]: line for line in service.logs().splitlines()[1:9]}
    assert f"{service.url}/docs" in lines["try"]
    assert "propusk users create --email you@example.com --superuser" in lines["first"]
    assert str(service.folder / "propusk-data" / "propusk.db") in lines["data"]
    assert f"{service.url}/mailbox; files in {service.folder / 'propusk-data' / 'mail'}" in lines["mail"]
    for name in ("public", "data", "keys", "mail", "mode"):
        assert "(development default)" in lines[name], name


def test_a_port_in_use_is_a_sentence_and_nothing_is_announced(service: Service) -> None:
    done = service.run("serve", "--port", str(service.port))
    assert done.returncode == 1
    assert done.stderr == f"Error: cannot listen on 127.0.0.1, port {service.port}: Address already in use\n"


def access_lines(service: Service) -> list[dict[str, Any]]:
    """The lines of requests; fails unless every line is a JSON object."""
    return [line for line in map(json.loads, service.logs().splitlines()) if line["event"] == "request"]


HOSTILE = "zq7canary\r\nINFO forged\x1b[2J\u202e\u2028"


def test_t34_t56_every_line_of_a_production_log_is_json_one_for_each_request_without_any_secret(tmp_path: Path) -> None:
    with Service(tmp_path, env=production(tmp_path) | NO_LIMITS, workers=2) as service:
        before = len(access_lines(service))
        long = "x" * 2**20
        with httpx.Client(base_url=service.url, timeout=PATIENCE) as client:
            sent = [
                client.post("/auth/login", json={"login": HOSTILE, "password": PASSWORD}),
                client.post("/auth/login", json={"login": long, "password": PASSWORD}),
                client.post("/auth/login", content=HOSTILE.encode(), headers={"Content-Type": "application/json"}),
                client.get("/%0d%0aforged%1b%5b2J%e2%80%ae%e2%80%a8", headers=[(b"User-Agent", b"\x9b" + b"u" * 9000)]),
                client.get("/" + "p" * 30_000),
                client.get("/users/me?access_token=zq7canary", headers={"Authorization": "Bearer zq7canary"}),
                client.get("/healthz", headers=[(b"X-Request-ID", "zq7canary\x1b\u202e".encode())]),
                client.post("/auth/refresh", json={"refresh_token": "zq7canary"}),
            ]
            assert [answer.status_code < 500 for answer in sent] == [True] * len(sent)
            # The HTTP parser itself refuses this one: a line, but not of a request.
            assert client.get("/", headers={"User-Agent": "\x1b[2J zq7canary"}).status_code == 400
        assert service.stop() == 0
    assert len(access_lines(service)) - before == len(sent)
    assert "zq7canary" not in service.logs()
    assert all(len(line) < 4000 for line in service.logs().splitlines())
    assert re.search(r"[^\x20-\x7e\n]", service.logs()) is None


def test_the_module_is_the_command() -> None:
    import sys

    done = subprocess.run([sys.executable, "-m", "propusk", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout


def test_what_a_command_imports_is_not_looked_through_again_and_again(tmp_path: Path) -> None:
    """A collector that walks through everything takes a good part of a start."""
    look = "from propusk.cli.main import main; main.get_command(None, 'serve')"
    found = "gc.isenabled(), gc.get_freeze_count() > 1000, gc.get_stats()[2]['collections'] <= before"
    code = f"import gc; before = gc.get_stats()[2]['collections'] + 1; {look}; print({found})"
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout == "True True True\n", done.stderr
