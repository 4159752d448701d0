"""Signing keys: published before they sign, retired once their last token has expired, revoked at once."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import delete, text

from propusk.assemble import assemble
from propusk.auth import Auth
from propusk.context import Context
from propusk.crypto.keyfiles import read_keys, write_keys
from propusk.crypto.keyring import JWKS_MAX_AGE, STALE, KeyFileError, generate_key
from propusk.db.clock import DatabaseClock
from propusk.errors import Unavailable
from propusk.settings import Algorithm
from propusk.tokens.keys import Keys, UnknownSecretKey, revoke_key, rotate_keys
from tests.backends import Backend
from tests.conftest import MakeHouse
from tests.forgeries import unb64
from tests.kit import FakeClock, House, SeededEntropy, make_settings, until

WAIT = JWKS_MAX_AGE + STALE


def kid_of(token: str) -> str:
    found: str = json.loads(unb64(token.split(".", maxsplit=1)[0]))["kid"]
    return found


async def published(house: House) -> list[str]:
    answer = await house.client.get("/.well-known/jwks.json")
    assert answer.status_code == 200
    return [key["kid"] for key in answer.json()["keys"]]


async def rotate(house: House) -> str:
    key, written = await house.do(rotate_keys)
    assert written
    await house.auth.keys.load()
    kid: str = key.kid
    return kid


async def revoke(house: House, kid: str) -> timedelta:
    async def act(ctx: Context) -> timedelta:
        return await revoke_key(ctx, kid=kid)

    wait: timedelta = await house.do(act)
    return wait


def key_file(path: Path, *kinds: Algorithm) -> Path:
    path.touch(0o600)
    path.write_bytes(b"".join(generate_key(kind).pem for kind in kinds or (Algorithm.EDDSA,)))
    return path


async def test_the_published_keys_are_public_and_cacheable(house: House) -> None:
    answer = await house.client.get("/.well-known/jwks.json")
    assert answer.headers["Cache-Control"] == f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"
    for key in answer.json()["keys"]:
        assert key.keys() <= {"kty", "crv", "x", "y", "n", "e", "kid", "use", "alg"}
    ada = await house.register()
    assert kid_of(ada.tokens["access_token"]) in [key["kid"] for key in answer.json()["keys"]]


async def test_t57_hs256_publishes_nothing(make_house: MakeHouse) -> None:
    house = await make_house(token_algorithm="HS256")
    assert await published(house) == []
    assert await (await house.register()).is_in()


async def test_t57_rotation_publishes_first_signs_later_and_retires_last(make_house: MakeHouse, tmp_path: Path) -> None:
    house = await make_house(signing_key_file=key_file(tmp_path / "keys.pem"))
    ada = await house.register()
    old = kid_of(ada.tokens["access_token"])

    new = await rotate(house)
    assert set(await published(house)) == {old, new}
    house.clock.tick(seconds=WAIT.total_seconds() - 0.001)
    await ada.refresh()
    assert kid_of(ada.tokens["access_token"]) == old
    last_of_old = dict(ada.tokens)

    house.clock.tick(seconds=0.001)
    await house.auth.keys.load()
    await ada.refresh()
    assert kid_of(ada.tokens["access_token"]) == new

    house.clock.tick(minutes=9, seconds=58)
    await house.auth.keys.load()
    assert set(await published(house)) == {old, new}
    ada.tokens = last_of_old
    assert await ada.is_in(), "the last token of the old key is good until it expires"

    house.clock.tick(seconds=15)
    await house.auth.keys.load()
    assert await published(house) == [new]
    assert (await house.client.get("/users/me", headers=ada.bearer)).status_code == 401


async def test_t57_rotation_on_one_of_two_houses_costs_no_session(make_house: MakeHouse, tmp_path: Path) -> None:
    """The one has its key file, the other its own; both know all published keys."""
    clock = FakeClock()
    one = await make_house(clock=clock, signing_key_file=key_file(tmp_path / "one.pem"))
    two = await make_house(clock=clock, signing_key_file=key_file(tmp_path / "two.pem"))
    people = [await one.register("ada@example.com"), await two.register("bob@example.com")]
    await one.auth.keys.load()
    kids = set()
    for minute in range(40):
        if minute == 5:
            await rotate(one)
        for person in people:
            assert (await person.refresh()).status_code == 200
            kids.add(kid_of(person.tokens["access_token"]))
            for house in (one, two):
                await house.auth.keys.load()
                assert (await house.client.get("/users/me", headers=person.bearer)).status_code == 200, minute
        clock.tick(minutes=1)
    assert len(kids) == 3


async def test_t57_rotation_on_a_shared_key_file_costs_no_session(make_house: MakeHouse, tmp_path: Path) -> None:
    clock, path = FakeClock(), key_file(tmp_path / "keys.pem")
    one = await make_house(clock=clock, signing_key_file=path)
    two = await make_house(clock=clock, signing_key_file=path)
    ada = await one.register()
    for minute in range(30):
        if minute % 12 == 3:
            await rotate(one)
        answer = await two.client.post("/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
        ada.tokens = answer.json()
        for house in (one, two):
            await house.auth.keys.load()
            assert (await house.client.get("/users/me", headers=ada.bearer)).status_code == 200, minute
        clock.tick(minutes=1)
    assert len(read_keys(path)) == 4


@pytest.mark.parametrize("old", list(Algorithm))
@pytest.mark.parametrize("new", [Algorithm.EDDSA, Algorithm.HS256, Algorithm.ES256])
async def test_t57_another_algorithm_costs_no_session(make_house: MakeHouse, old: Algorithm, new: Algorithm) -> None:
    clock = FakeClock()
    before = await make_house(clock=clock, token_algorithm=old)
    ada = await before.register()
    after = await make_house(clock=clock, token_algorithm=new)
    still = await after.client.get("/users/me", headers=ada.bearer)
    # Published keys go on verifying; a secret one only while it signs, and then a refresh is all it takes.
    assert still.status_code == (401 if old is Algorithm.HS256 is not new else 200)
    answer = await after.client.post("/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    ada.tokens = answer.json()
    assert json.loads(unb64(ada.tokens["access_token"].split(".")[0]))["alg"] == new
    assert (await after.client.get("/users/me", headers=ada.bearer)).status_code == 200


async def test_t57_a_change_to_another_algorithm_and_back_after_a_rotation_can_sign(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    clock, path = FakeClock(), key_file(tmp_path / "keys.pem", Algorithm.EDDSA, Algorithm.ES256)
    await rotate(await make_house(clock=clock, signing_key_file=path))
    clock.tick(days=1)
    back = await make_house(clock=clock, signing_key_file=path, token_algorithm="ES256")
    assert await (await back.register()).is_in()


async def test_t57_a_revoked_key_verifies_nothing_after_the_reload(make_house: MakeHouse, tmp_path: Path) -> None:
    clock, path = FakeClock(), key_file(tmp_path / "keys.pem")
    one = await make_house(clock=clock, signing_key_file=path)
    two = await make_house(clock=clock, signing_key_file=path)
    ada = await one.register()
    leaked = kid_of(ada.tokens["access_token"])
    assert (await two.client.get("/users/me", headers=ada.bearer)).status_code == 200

    new = await rotate(one)
    assert await revoke(one, leaked) > STALE
    for house in (one, two):
        await house.auth.keys.load()
        assert (await house.client.get("/users/me", headers=ada.bearer)).status_code == 401
        assert await published(house) == [new]
    assert (await ada.refresh()).status_code == 200
    assert kid_of(ada.tokens["access_token"]) == new
    assert await ada.is_in()


async def test_t57_a_revoked_key_is_not_published_again_by_a_house_that_still_has_it(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    path = key_file(tmp_path / "keys.pem")
    house = await make_house(signing_key_file=path)
    leaked = (await published(house))[0]
    new = await rotate(house)
    await revoke(house, leaked)
    assert leaked in {key.kid for key in read_keys(path)}
    again = await make_house(signing_key_file=path, clock=house.clock)
    assert await published(again) == [new]


async def test_t57_the_only_key_is_not_revoked(make_house: MakeHouse, tmp_path: Path) -> None:
    house = await make_house(signing_key_file=key_file(tmp_path / "keys.pem"))
    only = (await published(house))[0]
    with pytest.raises(KeyFileError, match="rotate first"):
        await revoke(house, only)
    with pytest.raises(KeyFileError, match="no such key"):
        await revoke(house, "zq7canary")
    assert await published(house) == [only]


async def test_t57_with_hs256_a_key_from_before_can_be_revoked(make_house: MakeHouse, tmp_path: Path) -> None:
    clock, path = FakeClock(), key_file(tmp_path / "keys.pem")
    before = await make_house(clock=clock, signing_key_file=path)
    ada = await before.register()
    after = await make_house(clock=clock, signing_key_file=path, token_algorithm="HS256")
    await revoke(after, kid_of(ada.tokens["access_token"]))
    await after.auth.keys.load()
    assert (await after.client.get("/users/me", headers=ada.bearer)).status_code == 401
    assert await published(after) == []


async def test_t57_a_key_file_that_cannot_be_written_leaves_everything_as_it_is(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    path = key_file(folder / "keys.pem")
    (folder / "keys.pem.new").mkdir()  # nobody, root included, can write a file of this name now
    house = await make_house(signing_key_file=path)
    before = await published(house)
    key, written = await house.do(rotate_keys)
    assert not written
    await house.auth.keys.load()
    assert await published(house) == before
    assert key.kid not in before


async def test_t57_a_changed_key_file_is_seen_by_a_running_house(make_house: MakeHouse, tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys.pem")
    house = await make_house(signing_key_file=path)
    watch, new = with_stopwatch(house), generate_key(Algorithm.EDDSA)
    assert new.kid not in await published(house)
    path.write_bytes(new.pem + path.read_bytes())
    await become_published(house, watch, new.kid)
    house.clock.tick(seconds=WAIT.total_seconds())
    assert kid_of((await house.register()).tokens["access_token"]) == new.kid


@pytest.mark.parametrize("content", [b"", b"zq7canary"])
async def test_t57_a_bad_key_file_stops_the_start(backend: Backend, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.pem"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=r"keys\.pem"):
        assemble(make_settings(backend.url, tmp_path, signing_key_file=path), [])


class Stopwatch:
    """Monotonic time that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def keys_by(house: House, watch: Callable[[], float] = time.monotonic) -> Keys:
    """The keys of a house, not yet read, and kept by this monotonic time."""
    auth = house.auth
    right = auth._keep_clock_right
    return Keys(
        *(auth.settings, auth.keys._ring.secrets, (), auth.tables, auth._engines.unhindered, auth.sessions, auth.clock),
        keep_clock_right=right,
        monotonic=watch,
    )


def with_stopwatch(house: House) -> Stopwatch:
    """Let a house keep its keys by this stopwatch."""
    watch = Stopwatch()
    house.auth.keys = keys_by(house, watch)
    return watch


async def become_published(house: House, watch: Stopwatch, kid: str) -> None:
    """Wait until this key is: one whose file takes too long to read is left for the next time that it is read."""

    async def is_published() -> bool:
        watch.seconds += 11
        return kid in await published(house)

    await until(is_published)


@asynccontextmanager
async def no_published_keys(house: House) -> AsyncIterator[None]:
    """Meanwhile nobody can read the published keys: their table has another name."""
    rename = "ALTER TABLE {} RENAME TO {}"
    here, away = "propusk_signing_keys", "propusk_signing_keys_away"
    async with house.auth.engine.begin() as connection:
        await connection.execute(text(rename.format(here, away)))
    try:
        yield
    finally:
        await house.auth.keys.close()
        async with house.auth.engine.begin() as connection:
            await connection.execute(text(rename.format(away, here)))


async def test_t57_a_process_that_cannot_read_its_keys_for_ten_seconds_answers_503(
    make_house: MakeHouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = key_file(tmp_path / "keys.pem")
    house = await make_house(signing_key_file=path)
    ada = await house.register()
    watch = with_stopwatch(house)
    assert await ada.is_in()

    async with no_published_keys(house):
        watch.seconds += 9.9
        assert await ada.is_in(), "for so long the keys are young enough"
        await house.auth.keys.close()  # what was started in the background has failed
        watch.seconds += 0.2
        for method, path_, options in (
            ("GET", "/users/me", {"headers": ada.bearer}),
            ("GET", "/.well-known/jwks.json", {}),
            ("POST", "/auth/login", {"json": {"login": "ada@example.com", "password": "zq7canary"}}),
            ("POST", "/auth/refresh", {"json": {"refresh_token": ada.tokens["refresh_token"]}}),
        ):
            answer = await house.client.request(method, path_, **options)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), path_
            assert int(answer.headers["Retry-After"]) >= 1
        assert (await house.client.get("/healthz")).status_code == 200
        assert "the signing keys could not be read" in caplog.text

    assert await ada.is_in(), "it mends itself"


@pytest.mark.parametrize("content", [None, b"", b"zq7canary"])
async def test_t57_a_key_file_that_breaks_while_the_house_runs_stops_nothing(
    make_house: MakeHouse, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    path = key_file(tmp_path / "keys.pem")
    house = await make_house(signing_key_file=path)
    ada = await house.register()
    old = kid_of(ada.tokens["access_token"])
    watch = with_stopwatch(house)
    assert await ada.is_in()
    whole = path.read_bytes()

    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    for _ in range(5):
        watch.seconds += 11
        assert await ada.is_in()
    assert (await ada.refresh()).status_code == 200
    assert kid_of(ada.tokens["access_token"]) == old
    # Once, or once more about a disk that stood still.
    assert 1 <= caplog.text.count("the key file cannot be used") < 4

    new = generate_key(Algorithm.EDDSA)
    path.touch(0o600)
    path.write_bytes(new.pem + whole)
    await become_published(house, watch, new.kid)
    assert set(await published(house)) == {old, new.kid}


@pytest.mark.parametrize("content", [None, b"", "another algorithm"])
async def test_t57_a_generated_key_file_that_is_lost_while_the_house_runs_is_not_made_anew(
    make_house: MakeHouse, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | str | None
) -> None:
    house = await make_house(signing_key_file=None)
    path = tmp_path / "signing_keys.pem"
    ada = await house.register()
    old = kid_of(ada.tokens["access_token"])
    watch = with_stopwatch(house)
    assert await ada.is_in()
    whole = path.read_bytes()

    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else generate_key(Algorithm.ES256).pem)
    left = path.read_bytes() if path.exists() else None
    for _ in range(5):
        watch.seconds += 11
        assert (await ada.refresh()).status_code == 200
    with pytest.raises(KeyFileError, match=str(path)):
        await house.do(rotate_keys)

    assert kid_of(ada.tokens["access_token"]) == old
    assert await published(house) == [old]
    assert (path.read_bytes() if path.exists() else None) == left, "what an operator may put back is not overtaken"
    assert 1 <= caplog.text.count("the key file cannot be used, so the keys from before sign on") < 4
    path.touch(0o600)
    path.write_bytes(whole)
    watch.seconds += 11
    assert await ada.is_in()
    await rotate(house)


async def test_t57_a_key_file_whose_disk_hangs_keeps_nobody_out(
    make_house: MakeHouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = key_file(tmp_path / "keys.pem")
    house = await make_house(signing_key_file=path)
    ada = await house.register()
    old = kid_of(ada.tokens["access_token"])
    watch = with_stopwatch(house)
    assert await ada.is_in()
    whole = path.read_bytes()
    path.unlink()
    os.mkfifo(path, 0o600)  # whoever reads it waits until somebody writes
    try:
        watch.seconds += 11
        assert (await ada.refresh()).status_code == 200
        assert kid_of(ada.tokens["access_token"]) == old
        assert caplog.text.count("not read within 2 s") == 1
    finally:
        with os.fdopen(os.open(path, os.O_RDWR), "wb") as file:
            file.write(whole)
            file.flush()
            path.unlink()

    new = generate_key(Algorithm.EDDSA)
    write_keys(path, (new, *read_keys(key_file(tmp_path / "another.pem"))))
    await become_published(house, watch, new.kid)  # once its disk answers, the file is read again
    assert await ada.is_in()


async def test_t57_a_key_that_was_revoked_is_refused_though_the_key_file_is_broken(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    path = key_file(tmp_path / "keys.pem")
    house = await make_house(signing_key_file=path)
    ada = await house.register()
    watch = with_stopwatch(house)
    assert await ada.is_in()
    await house.do(rotate_keys)
    wait = await revoke(house, kid_of(ada.tokens["access_token"]))
    path.write_bytes(b"")
    watch.seconds += wait.total_seconds()
    assert (await ada.get("/users/me")).status_code == 401


async def test_t57_a_stale_process_does_not_accept_a_key_that_was_revoked(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    clock, path = FakeClock(), key_file(tmp_path / "keys.pem")
    house = await make_house(clock=clock, signing_key_file=path)
    ada = await house.register()
    watch = with_stopwatch(house)
    assert await ada.is_in()
    await house.do(rotate_keys)
    wait = await revoke(house, kid_of(ada.tokens["access_token"]))
    watch.seconds += wait.total_seconds()
    assert (await ada.get("/users/me")).status_code == 401


async def test_reloads_are_shared_and_no_more_than_one_in_two_seconds(make_house: MakeHouse, tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys.pem")
    house = await make_house(signing_key_file=path)
    ada = await house.register()
    watch = with_stopwatch(house)
    rings = await asyncio.gather(*(house.auth.keys.current() for _ in range(20)))
    assert len({id(ring) for ring in rings}) == 1
    with house.statements() as seen:
        for _ in range(20):
            assert await ada.is_in()
            watch.seconds += 0.05
    assert not [statement for statement in seen if "signing_keys" in statement]


async def test_without_a_key_nothing_is_signed_and_it_is_said(make_house: MakeHouse, tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys.pem")
    house = await make_house(signing_key_file=path)
    await house.register()
    async with house.auth.engine.begin() as connection:
        await connection.execute(delete(house.auth.tables.signing_keys))
    house.auth.keys._ring = type(house.auth.keys._ring)(Algorithm.EDDSA, house.auth.keys._ring.secrets)
    answer = await house.client.post(
        "/auth/login", json={"login": "ada@example.com", "password": "zq7canary old horse"}
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert [row["refresh_counter"] for row in await house.rows("sessions")] == [0], "no session was begun"


# T60


@pytest.mark.parametrize(
    ("apart", "accepted"), [(0, True), (29, True), (-29, True), (31, False), (-300, True), (300, False)]
)
async def test_t60_a_token_from_a_clock_ahead_is_accepted_within_the_leeway(
    make_house: MakeHouse, apart: int, accepted: bool
) -> None:
    here, there = FakeClock(), FakeClock()
    there.tick(seconds=apart)
    house, ahead = await make_house(clock=here), await make_house(clock=there)
    await house.register()
    ada = await ahead.log_in("ada@example.com")
    answer = await house.client.get("/users/me", headers=ada.bearer)
    assert answer.status_code == (200 if accepted else 401)


async def test_t60_a_refresh_on_a_clock_that_was_set_back_forks_nothing(make_house: MakeHouse) -> None:
    house = await make_house()
    ada = await house.register()
    parent = ada.tokens["refresh_token"]
    await ada.refresh()
    house.clock.tick(seconds=-9)
    again = await ada.refresh(parent)
    assert again.json()["refresh_token"] == ada.tokens["refresh_token"]
    assert [row["refresh_counter"] for row in await house.rows("sessions")] == [1]


async def test_t60_the_one_clock_is_the_databases(house: House) -> None:
    clock = DatabaseClock()
    clock.offset = timedelta(minutes=5)
    await clock.measure(house.auth.engine)
    if house.auth.engine.dialect.name == "sqlite":
        assert clock.offset == timedelta(minutes=5), "there is no other clock than ours"
    else:
        assert abs(clock.offset) < timedelta(seconds=5), "the server is this machine"
    before: Any = clock()
    assert before.tzinfo is not None
    assert clock() >= before


async def test_the_keys_cannot_be_had_before_they_were_read(house: House) -> None:
    assert (await keys_by(house).current()).public, "the first use reads them"
    async with no_published_keys(house):
        with pytest.raises(Unavailable):
            await keys_by(house).current()


async def test_t57_a_node_that_missed_a_rotation_goes_on_being_believed(make_house: MakeHouse, tmp_path: Path) -> None:
    first, second = tmp_path / "first.pem", tmp_path / "second.pem"
    key = generate_key(Algorithm.EDDSA)
    for file in (first, second):
        file.touch(0o600)
        file.write_bytes(key.pem)
    clock = FakeClock()
    rotated = await make_house(clock=clock, signing_key_file=first)
    lagging = await make_house(clock=clock, signing_key_file=second)
    await rotated.do(rotate_keys)
    await rotated.register("ada@example.com")

    for _ in range(4):
        clock.tick(minutes=6)
        for house in (rotated, lagging):
            await house.auth.keys.load()
        tokens = [(await house.log_in("ada@example.com")).bearer for house in (rotated, lagging)]
        for house in (rotated, lagging):
            await house.auth.keys.load()
            answers = [await house.client.get("/users/me", headers=bearer) for bearer in tokens]
            assert [answer.status_code for answer in answers] == [200, 200]


async def test_of_two_nodes_that_start_at_once_with_different_secret_keys_one_is_refused(
    house: House, backend: Backend, tmp_path: Path, signing_key_file: Path
) -> None:
    def node(name: str) -> Auth:
        key = SecretStr(f"zq7canary-{name}-0123456789-0123456789")
        settings = make_settings(backend.url, tmp_path, secret_key=[key], signing_key_file=signing_key_file)
        return assemble(settings, [], clock=FakeClock(), entropy=SeededEntropy(name))

    tables = house.auth.tables
    nodes = [node("one"), node("two")]
    for lock_too in (True, False, True, False, True):
        async with house.auth.engine.begin() as connection:
            await connection.execute(delete(tables.secret_keys))
            if lock_too:
                await connection.execute(delete(tables.locks).where(tables.locks.c.name == "secret_keys"))
        ends = await asyncio.gather(*(node.start() for node in nodes), return_exceptions=True)
        assert {type(end) for end in ends} == {type(None), UnknownSecretKey}, ends
        assert len(await house.rows("secret_keys")) == 1
    for each in nodes:
        await each.close()
