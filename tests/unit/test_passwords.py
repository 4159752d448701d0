"""Hashing and verifying passwords: ours, those that people bring along, and what a storm of logins may take."""

import asyncio
import os
import sys
import threading
import time
import tracemalloc
import unicodedata
from collections.abc import Iterator
from functools import partial
from typing import Any

import argon2
import bcrypt
import pytest
from pydantic import ValidationError

from propusk.crypto.hashing_pool import HashingPool
from propusk.crypto.password_schemes import find_check
from propusk.crypto.passwords import PasswordHasher, Verdict, hashing_threads, normal_form
from propusk.errors import Overloaded
from propusk.settings import PasswordSettings, Settings, describe_faults
from tests.kit import until

CHEAP = PasswordSettings(memory_kib=8, iterations=1)
PASSWORD = "zq7canary-brought-along"
WRONG = Verdict(ok=False, rehash=False)
SURROGATE = "zq7canary-\ud800"

# Made by Django 5.2, libpass 1.9 (passlib's successor), Werkzeug 3.1, bcrypt 5.0 and argon2-cffi 25.1, cheaply.
BROUGHT = {
    "django pbkdf2_sha256": "pbkdf2_sha256$100$S4ltS4ltS4ltS4lt$Yzx2E7e1dLy5y+Q2Ux+z0p3xXeNKRXnnm0R0batHktk=",
    "django pbkdf2_sha1": "pbkdf2_sha1$100$S4ltS4ltS4ltS4lt$0KBLkNcVs+D0ojdBEJ4rhZ7IDhA=",
    "django scrypt": "scrypt$16$S4ltS4ltS4ltS4lt$8$5$yzOA47fDd+R2hENsOS/zWd4qZlGZXMX1I1fH94+9LAFC++mL2"
    "65nnd+zFl6BkvvULN5hC90CWOQnTgQ5496+JQ==",
    "django bcrypt_sha256": "bcrypt_sha256$$2b$04$GraU9e.ydgsrEGTFg.T2K.h.5iFnDgY9j5HMJfNSwbwWs1.E2HWiu",
    "django bcrypt": "bcrypt$$2b$04$2QGUUfJptHfth1dBBpR.juKqUxAkwSofZtWnBi0QzYPbwdkMCwcMm",
    "django argon2": "argon2$argon2id$v=19$m=64,t=1,p=2$UzRsdFM0bHRTNGx0UzRsdA$IQFV1od0XQni1X+MW5Fmz+/"
    "/7W8gPGiBIL9HRt2OPtA",
    "passlib pbkdf2-sha256": "$pbkdf2-sha256$100$0/qf05oTIgRgbO2dk7J2jg$RmAA0YHABZagrTaLrTxEICiSXoujL1OYj0fFGTeWf2k",
    "passlib pbkdf2-sha512": "$pbkdf2-sha512$100$9T7H2Psf4zwHwLi3FsI4pw$3B802lQL7twhjgrpqST6ss/WILLDrI22MvOAHt"
    "3HAiCgDBb39c2f8K45CTCyw4RFV5MnSMuFtWtkY31U.SmXmQ",
    "passlib pbkdf2": "$pbkdf2$100$G8P4H.OcszbGmPM.B6BU6g$eNvzvn2FSP7Jt7UOwiEKpMxxRG8",
    "passlib scrypt": "$scrypt$ln=4,r=8,p=1$3VsrBUCoFSIkxJhT6v2/9w$ymkxpMHeoqFk/yu0WSx8NXJqLBYYwey/7MafHd3hkUQ",
    "werkzeug pbkdf2": "pbkdf2:sha256:100$eSm8zrT2voBM4oqH$be32039a5b458152171b325efca3913600302b320b0cc"
    "c8e3049ace24fa32e1c",
    "werkzeug pbkdf2 sha512": "pbkdf2:sha512:100$xyZhcD0pgZvFoIPU$1797a683d31c606d42dbdd2bd906e85fa254e02f8c746"
    "336ced85569952cd74b6ad97d8c14da6c554a9c5dfe016101a91a74dd6b9a2263a6f41e4646c41d5a06",
    "werkzeug scrypt": "scrypt:1024:8:1$NtUgRsY4Vd9RAo8X$44c9d5479b22522d0c4f21b7ae585ee4d3187e0bc3ff15f"
    "4bd862631ab4f67673342bbe06368d9e51f3c3b8048af412d93e2c4948b81501c67899dbee7bccc74",
    "bcrypt 2a": "$2a$04$KrwavHck0w88LnbMWgJ2ue4JHAEXjwhYPamYUlTV/TYsAygSpLpai",
    "bcrypt 2b": "$2b$04$lfatx0yp6NroHdCPLRm/puE17fSNnfwEjo774eARrmRfDz19JjXJG",
    "php bcrypt": "$2y$04$Xkj6Vmtd97KrCHpWlL9iN.qiodIOs5c3wzZtBU/k.vU/A5sUbhDTm",
    "argon2 D": "$argon2d$v=19$m=16,t=1,p=2$i+DxAA1Bn3HRtq0zyu3nkA$IfavlN2flG2Xu82v0KA4j2HBg2BoxPefF/9AKJi3VK4",
    "argon2 I": "$argon2i$v=19$m=16,t=1,p=2$8x6L20HRBGHhOWAFlhgwiQ$zNkYH6wZYe2o2DGqLuqg5cDiu+wqzKNrHwjIk4GUVjQ",
    "argon2 ID": "$argon2id$v=19$m=16,t=1,p=2$LKDFLIN2wsQ6LFvdejyaJA$pvgI5kTsJ4IgdiB5iLvjYE52CuvaLGJOIcRX4jGKSi8",
}


def _argon2(*, version: int = 19, hash_len: int = 32) -> str:
    kind = argon2.low_level.Type.ID
    return argon2.low_level.hash_secret(b"zq7canary", b"saltsaltsaltsalt", 1, 16, 1, hash_len, kind, version).decode()


# Broken, unknown, or dearer than we allow.
UNUSABLE = {
    "empty": "",
    "plain text": "zq7canary",
    "unknown scheme": "$6$rounds=5000$c2FsdA$zq7canary",
    "md5": "md5$c2FsdA$5f4dcc3b5aa765d61d8327deb882cf99",
    "not ASCII": "$argon2id$v=19$m=8,t=1,p=1$ыыыыыыыыыыы$ы",
    "current parameters, not base64": f"$argon2id$v=19$m=8,t=1,p=1${'!' * 22}${'!' * 43}",
    "argon2 without a digest": "$argon2id$v=19$m=16,t=1,p=1$c2FsdHNhbHQ",
    "argon2 with a short salt": "$argon2id$v=19$m=16,t=1,p=1$c2E$IfavlN2flG2Xu82v0KA4j2HBg2BoxPefF/9AKJi3VK4",
    "argon2 over memory": BROUGHT["argon2 ID"].replace("m=16", "m=1048576"),
    "argon2 over work": BROUGHT["argon2 ID"].replace("m=16,t=1", "m=262144,t=5"),
    "argon2 over passes": BROUGHT["argon2 ID"].replace("t=1", "t=65"),
    "argon2 over lanes": BROUGHT["argon2 ID"].replace("p=2", "p=999"),
    "argon2 of no memory": BROUGHT["argon2 ID"].replace("m=16", "m=0"),
    "argon2 of many digits": BROUGHT["argon2 ID"].replace("m=16", "m=" + "9" * 5000),
    "argon2 of the first version": _argon2(version=16),
    "argon2 under length": _argon2(hash_len=8),
    "bcrypt over rounds": BROUGHT["bcrypt 2b"].replace("$04$", "$16$"),
    "bcrypt under rounds": BROUGHT["bcrypt 2b"].replace("$04$", "$00$"),
    "bcrypt cut short": BROUGHT["bcrypt 2b"][:-1],
    "pbkdf2 over iterations": BROUGHT["django pbkdf2_sha256"].replace("$100$", "$3000001$"),
    "pbkdf2 of no iterations": BROUGHT["django pbkdf2_sha256"].replace("$100$", "$0$"),
    "pbkdf2 under length": "pbkdf2_sha256$100$S4lt$Yw==",
    "pbkdf2 not base64": "pbkdf2_sha256$100$S4lt$Yzx2E",
    "scrypt over memory": BROUGHT["passlib scrypt"].replace("ln=4,r=8", "ln=20,r=3"),
    "scrypt over work": BROUGHT["passlib scrypt"].replace("ln=4,r=8,p=1", "ln=17,r=8,p=4"),
    "scrypt over work of its ends": BROUGHT["passlib scrypt"].replace("ln=4,r=8,p=1", "ln=1,r=1,p=1000000"),
    "scrypt not a power of two": BROUGHT["werkzeug scrypt"].replace(":1024:", ":1023:"),
    "scrypt odd hex": BROUGHT["werkzeug scrypt"][:-1],
    "salt over length": "pbkdf2_sha256$100$" + "x" * 2000 + "$Yzx2E7e1dLy5y+Q2Ux+z0p3xXeNKRXnnm0R0batHktk=",
    "long": "$argon2id$" + "$" * 100_000,
}

# As dear as libraries and operators make them.
USUAL = {
    "django 5.2": BROUGHT["django pbkdf2_sha256"].replace("$100$", "$1000000$"),
    "django, of years to come": BROUGHT["django pbkdf2_sha256"].replace("$100$", "$3000000$"),
    "django scrypt": BROUGHT["django scrypt"].replace("$16$", "$16384$"),
    "django argon2": BROUGHT["django argon2"].replace("m=64,t=1,p=2", "m=102400,t=2,p=8"),
    "werkzeug pbkdf2": BROUGHT["werkzeug pbkdf2 sha512"].replace(":100$", ":1000000$"),
    "werkzeug scrypt": BROUGHT["werkzeug scrypt"].replace(":1024:", ":32768:"),
    "passlib scrypt": BROUGHT["passlib scrypt"].replace("ln=4", "ln=16"),
    "OWASP scrypt": BROUGHT["passlib scrypt"].replace("ln=4", "ln=17"),
    "OWASP scrypt of little memory": BROUGHT["passlib scrypt"].replace("ln=4,r=8,p=1", "ln=13,r=8,p=10"),
    "libsodium, moderate": BROUGHT["argon2 ID"].replace("m=16,t=1,p=2", "m=262144,t=3,p=1"),
    "OWASP argon2 of little memory": BROUGHT["argon2 ID"].replace("m=16,t=1,p=2", "m=7168,t=5,p=1"),
    "bcrypt": BROUGHT["bcrypt 2b"].replace("$04$", "$14$"),
}


def hasher(settings: PasswordSettings = CHEAP, *, threads: int = 1, queue: int = 256) -> PasswordHasher:
    return PasswordHasher(settings, entropy=os.urandom, threads=threads, queue=queue)


@pytest.fixture
def passwords() -> Iterator[PasswordHasher]:
    made = hasher()
    yield made
    made.close()


async def cost_of(passwords: PasswordHasher, stored: str | None, password: str) -> tuple[Verdict, int]:
    before = passwords.calls
    verdict = await passwords.verify(stored, password, share="net")
    return verdict, passwords.calls - before


# Ours


async def test_a_password_verifies_against_its_own_hash_alone(passwords: PasswordHasher) -> None:
    stored = await passwords.hash(PASSWORD, share="net")
    assert await passwords.verify(stored, PASSWORD, share="net") == Verdict(ok=True, rehash=False)
    for other in ("", PASSWORD + " ", PASSWORD.upper(), PASSWORD[:-1]):
        assert await passwords.verify(stored, other, share="net") == WRONG


async def test_hashes_are_argon2id_with_the_parameters_of_the_settings() -> None:
    passwords = hasher(PasswordSettings(memory_kib=24, iterations=2))
    found = argon2.extract_parameters(await passwords.hash(PASSWORD, share="net"))
    passwords.close()
    assert found == argon2.Parameters(
        argon2.Type.ID, version=19, salt_len=16, hash_len=32, time_cost=2, memory_cost=24, parallelism=1
    )


async def test_an_outside_library_verifies_our_hashes_and_makes_some_that_are_as_ours(
    passwords: PasswordHasher,
) -> None:
    outside = argon2.PasswordHasher(CHEAP.iterations, CHEAP.memory_kib, 1, 32, 16)
    assert outside.verify(await passwords.hash(PASSWORD, share="net"), PASSWORD)
    assert await passwords.verify(outside.hash(PASSWORD), PASSWORD, share="net") == Verdict(ok=True, rehash=False)


async def test_the_event_loop_goes_on_while_a_password_is_hashed() -> None:
    passwords = hasher(PasswordSettings(memory_kib=64 * 1024, iterations=8))
    stored = asyncio.create_task(passwords.hash(PASSWORD, share="net"))
    rounds = 0
    while not stored.done():
        await asyncio.sleep(0.001)
        rounds += 1
    passwords.close()
    assert rounds > 10, "the hash held the interpreter's lock"


async def test_two_hashes_of_one_password_differ(passwords: PasswordHasher) -> None:
    assert await passwords.hash(PASSWORD, share="net") != await passwords.hash(PASSWORD, share="net")


async def test_a_hash_with_other_parameters_is_to_be_made_anew(passwords: PasswordHasher) -> None:
    dearer = hasher(PasswordSettings(memory_kib=16, iterations=1))
    stored = await passwords.hash(PASSWORD, share="net")
    assert await dearer.verify(stored, PASSWORD, share="net") == Verdict(ok=True, rehash=True)
    assert await dearer.verify(stored, "zq7canary", share="net") == WRONG
    dearer.close()


@pytest.mark.parametrize(("memory_kib", "iterations"), [(1 << 19, 2), (1 << 14, 64), (8, 64), (8, 1)])
def test_whatever_cost_is_set_its_hashes_can_be_checked_once_another_is(memory_kib: int, iterations: int) -> None:
    cost = PasswordSettings(memory_kib=memory_kib, iterations=iterations)
    assert find_check(f"$argon2id$v=19$m={cost.memory_kib},t={cost.iterations},p=1${'A' * 22}${'A' * 43}") is not None


@pytest.mark.parametrize(
    ("memory_kib", "iterations", "named"),
    [
        ((1 << 19) + 1, 1, "password.memory_kib: "),
        (8, 65, "password.iterations: "),
        (1 << 19, 3, "password: memory_kib times iterations "),
        ((1 << 14) + 1, 64, "password: memory_kib times iterations "),
        (7, 1, "password.memory_kib: "),
    ],
)
def test_a_cost_whose_hashes_could_not_be_checked_later_is_refused_by_its_name(
    memory_kib: int, iterations: int, named: str
) -> None:
    assert find_check(f"$argon2id$v=19$m={memory_kib},t={iterations},p=1${'A' * 22}${'A' * 43}") is None
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"password": {"memory_kib": memory_kib, "iterations": iterations}})
    assert describe_faults(refused.value).startswith(named)


# Brought along


@pytest.mark.parametrize("scheme", BROUGHT)
async def test_a_hash_that_was_brought_along_verifies_and_is_to_be_replaced(
    passwords: PasswordHasher, scheme: str
) -> None:
    assert await cost_of(passwords, BROUGHT[scheme], PASSWORD) == (Verdict(ok=True, rehash=True), 1)


@pytest.mark.parametrize("scheme", BROUGHT)
async def test_t01_a_wrong_password_costs_one_hash_of_the_users_own_scheme(
    passwords: PasswordHasher, scheme: str
) -> None:
    assert await cost_of(passwords, BROUGHT[scheme], "zq7canary-wrong") == (WRONG, 1)


@pytest.mark.parametrize("why", UNUSABLE)
async def test_t01_a_hash_that_cannot_be_checked_costs_one_hash_and_never_raises(
    passwords: PasswordHasher, why: str
) -> None:
    assert await cost_of(passwords, UNUSABLE[why], "zq7canary") == (WRONG, 1)


@pytest.mark.parametrize("why", [why for why in UNUSABLE if " over " in why or " under " in why])
def test_t51_an_imported_row_can_neither_hold_a_thread_for_long_nor_match_by_chance(why: str) -> None:
    assert find_check(UNUSABLE[why]) is None


@pytest.mark.parametrize("whose", USUAL)
def test_a_hash_as_dear_as_people_make_them_can_be_checked(whose: str) -> None:
    assert find_check(USUAL[whose]) is not None


async def test_t01_every_failing_branch_takes_the_time_of_one_hash_with_current_parameters() -> None:
    passwords = hasher(PasswordSettings(memory_kib=16384, iterations=4))
    stored = await passwords.hash(PASSWORD, share="net")

    async def seconds(stored: str | None, password: str) -> float:
        # Of processor time, so that other processes do not count; the least of three, so that hiccups do not either.
        return min([await _cpu_seconds(passwords, stored, password) for _ in range(3)])

    async def is_usual(stored_too: str | None, password: str) -> bool:
        # The machine may get slower or faster between two measurements, but not each time.
        for _ in range(5):
            if 0.5 < await seconds(stored_too, password) / await seconds(stored, "zq7canary-wrong") < 2:
                return True
        return False

    long_bcrypt = BROUGHT["bcrypt 2b"], "zq7canary" * 9
    for branch in [
        (None, PASSWORD),
        (UNUSABLE["md5"], PASSWORD),
        (stored, "x" * 300),
        (stored, SURROGATE),
        long_bcrypt,
    ]:
        assert await is_usual(*branch), branch
    passwords.close()


async def _cpu_seconds(passwords: PasswordHasher, stored: str | None, password: str) -> float:
    started = time.process_time()
    assert not (await passwords.verify(stored, password, share="net")).ok
    return time.process_time() - started


async def test_t01_nobody_logs_in_where_there_is_no_password(passwords: PasswordHasher) -> None:
    for password in ("", PASSWORD, "\0" * 32):
        assert await cost_of(passwords, None, password) == (WRONG, 1)


# Long, cut, changed


async def test_t07_an_overlong_password_costs_one_hash_and_is_wrong(passwords: PasswordHasher) -> None:
    for length in (257, 1 << 20):
        password = ("zq7canary" * length)[:length]
        stored = argon2.PasswordHasher(1, 8, 1).hash(password)
        assert await cost_of(passwords, stored, password) == (WRONG, 1)
        with pytest.raises(ValueError, match="check it first"):
            await passwords.hash(password, share="net")


async def test_t07_length_is_counted_in_characters_of_nfc(passwords: PasswordHasher) -> None:
    for password in ("🐎" * 256, "e\u0301" * 256, "\u03b1\u0313\u0300\u0345" * 256):
        stored = await passwords.hash(password, share="net")
        assert (await passwords.verify(stored, password, share="net")).ok
    assert normal_form("e\u0301" * 257) is None


def test_t07_a_megabyte_is_refused_before_it_is_normalised() -> None:
    password = "e\u0301" * (1 << 20)
    tracemalloc.start()
    try:
        assert normal_form(password) is None
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


async def test_t08_argon2_cuts_nothing(passwords: PasswordHasher) -> None:
    base = "zq7canary".ljust(72, "x")
    for one, other in [
        (base + "1", base + "2"),
        ("zq7canary\0one", "zq7canary\0two"),
        (base, base + " "),
        (base, base + "\0"),
    ]:
        stored = await passwords.hash(one, share="net")
        assert (await passwords.verify(stored, one, share="net")).ok
        assert await passwords.verify(stored, other, share="net") == WRONG


async def test_t08_what_bcrypt_would_cut_is_refused(passwords: PasswordHasher) -> None:
    exact = "zq7canary".ljust(72, "x")
    stored = bcrypt.hashpw(exact.encode(), bcrypt.gensalt(4)).decode()
    assert (await passwords.verify(stored, exact, share="net")).ok
    for more in (exact + "1", exact + " ", exact + "\0", exact[:-1] + "é"):
        assert await cost_of(passwords, stored, more) == (WRONG, 1)
    short = bcrypt.hashpw(b"zq7canary", bcrypt.gensalt(4)).decode()
    assert await cost_of(passwords, short, "zq7canary\0anything") == (WRONG, 1)
    with_nul = bcrypt.hashpw(b"zq7canary\0one", bcrypt.gensalt(4)).decode()
    assert await cost_of(passwords, with_nul, "zq7canary\0one") == (WRONG, 1)


async def test_t08_nfd_from_another_platform_is_the_same_password(passwords: PasswordHasher) -> None:
    nfc = "zq7canary-Ångström-é"
    nfd = unicodedata.normalize("NFD", nfc)
    assert nfc != nfd
    for made, typed in ((nfc, nfd), (nfd, nfc), (nfd, nfd)):
        stored = await passwords.hash(made, share="net")
        assert await passwords.verify(stored, typed, share="net") == Verdict(ok=True, rehash=False)


async def test_t08_an_imported_hash_is_tried_in_nfc_and_as_typed(passwords: PasswordHasher) -> None:
    nfd = unicodedata.normalize("NFD", "zq7canary-é")
    nfc = unicodedata.normalize("NFC", nfd)
    of_nfd = bcrypt.hashpw(nfd.encode(), bcrypt.gensalt(4)).decode()
    of_nfc = bcrypt.hashpw(nfc.encode(), bcrypt.gensalt(4)).decode()
    assert (await passwords.verify(of_nfd, nfd, share="net")).ok
    assert (await passwords.verify(of_nfc, nfd, share="net")).ok
    assert (await passwords.verify(of_nfc, nfc, share="net")).ok
    assert not (await passwords.verify(of_nfd, nfc, share="net")).ok
    dearer = argon2.PasswordHasher(1, 16, 1).hash(nfd)
    assert await passwords.verify(dearer, nfd, share="net") == Verdict(ok=True, rehash=True)


async def test_t01_a_verification_costs_one_hash_and_two_only_for_an_imported_one_typed_in_another_form(
    passwords: PasswordHasher,
) -> None:
    nfd = unicodedata.normalize("NFD", "zq7canary-é")
    for stored in (None, "broken", await passwords.hash(PASSWORD, share="net"), *BROUGHT.values()):
        assert await cost_of(passwords, stored, "zq7canary-é") == (WRONG, 1)
    for stored in (None, "broken", await passwords.hash(PASSWORD, share="net")):
        assert await cost_of(passwords, stored, nfd) == (WRONG, 1)
    for stored in BROUGHT.values():
        assert await cost_of(passwords, stored, nfd) == (WRONG, 2)


async def test_a_lone_surrogate_is_a_wrong_password(passwords: PasswordHasher) -> None:
    for stored in (None, await passwords.hash(PASSWORD, share="net"), *BROUGHT.values()):
        assert await cost_of(passwords, stored, SURROGATE) == (WRONG, 1)
    with pytest.raises(ValueError, match="check it first"):
        await passwords.hash(SURROGATE, share="net")


# Under load. A job that waits for a gate stands for a slow hash.


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    made = threading.Event()
    yield made
    made.set()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def hold(pool: HashingPool, gate: threading.Event, *shares: str) -> list[asyncio.Task[object]]:
    """Tasks that hold threads, then places in the queue, until the gate opens."""
    tasks = [asyncio.create_task(pool.run(share, gate.wait)) for share in shares]
    await settle()
    return tasks


async def test_t09_what_does_not_fit_into_the_queue_is_refused_at_once(gate: threading.Event) -> None:
    pool = HashingPool(threads=2, queue=4)
    held = await hold(pool, gate, *"abcdef")
    with pytest.raises(Overloaded):
        await pool.run("g", gate.wait)
    assert pool.started == 2
    gate.set()
    assert await asyncio.gather(*held) == [True] * 6
    assert await pool.run("g", gate.wait)
    pool.close()


async def test_t09_one_network_holds_at_most_half_of_the_queue(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, queue=4)
    held = await hold(pool, gate, *"aaa")
    with pytest.raises(Overloaded):
        await pool.run("a", gate.wait)
    held += await hold(pool, gate, *"bc")
    gate.set()
    assert await asyncio.gather(*held) == [True] * 5
    pool.close()


async def test_t09_a_flood_from_one_network_leaves_room_for_others() -> None:
    passwords = hasher(queue=4)
    flood = [passwords.verify(None, "zq7canary", share="flood") for _ in range(20)]
    others = [passwords.verify(None, "zq7canary", share=share) for share in ("home", "work")]
    answers = await asyncio.gather(*flood, *others, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Verdict] * 3 + [Overloaded] * 17 + [Verdict] * 2
    assert passwords.calls == 5
    passwords.close()


async def test_t09_a_cancelled_request_gives_up_its_place_and_is_not_computed(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, queue=2)
    computed: list[str] = []
    held = await hold(pool, gate, "a")
    waiting = [asyncio.create_task(pool.run(share, partial(computed.append, share))) for share in "bc"]
    await settle()
    with pytest.raises(Overloaded):
        await pool.run("d", gate.wait)
    waiting[0].cancel()
    await settle()
    held += await hold(pool, gate, "d")
    gate.set()
    await asyncio.gather(*held, *waiting, return_exceptions=True)
    assert waiting[0].cancelled()
    assert computed == ["c"]
    assert pool.started == 3
    pool.close()


async def test_t09_a_thread_is_taken_until_its_job_is_done_though_its_request_is_gone(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, queue=2)
    [gone] = await hold(pool, gate, "a")
    gone.cancel()
    await settle()
    assert gone.cancelled()
    [next_one] = await hold(pool, gate, "b")
    assert pool.started == 1
    gate.set()
    assert await next_one
    assert pool.started == 2
    pool.close()


async def test_t09_nothing_is_computed_for_who_has_gone_when_their_turn_comes(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, queue=4)
    computed: list[str] = []

    async def gone() -> bool:
        return True

    async def broken() -> bool:
        raise ConnectionResetError

    held = await hold(pool, gate, "a")
    left = [
        asyncio.create_task(pool.run("b", partial(computed.append, "b"), has_gone=gone)),
        asyncio.create_task(pool.run("c", partial(computed.append, "c"), has_gone=broken)),
    ]
    stays = asyncio.create_task(pool.run("d", partial(computed.append, "d")))
    await settle()
    gate.set()
    answers = await asyncio.gather(*held, *left, stays, return_exceptions=True)
    assert [type(answer) for answer in answers] == [bool, Overloaded, ConnectionResetError, type(None)]
    assert computed == ["d"]
    assert pool.started == 2
    pool.close()


async def test_t09_a_failed_job_frees_its_thread() -> None:
    pool = HashingPool(threads=1, queue=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await pool.run("a", lambda: 1 // 0)
    pool.close()


async def test_t09_no_more_hashes_run_at_once_than_there_are_threads() -> None:
    pool = HashingPool(threads=2, queue=64)
    running: set[int] = set()
    most: list[int] = []

    def job() -> None:
        running.add(threading.get_ident())
        most.append(len(running))
        time.sleep(0.002)
        running.discard(threading.get_ident())

    await asyncio.gather(*(pool.run(str(share), job) for share in range(20)))
    assert max(most) == 2
    pool.close()


def queue_up(pool: HashingPool, count: int) -> tuple[list[threading.Event], list[asyncio.Task[object]]]:
    """So many jobs, each of which is done when its gate opens."""
    gates = [threading.Event() for _ in range(count)]
    return gates, [asyncio.create_task(pool.run(str(n), gate.wait)) for n, gate in enumerate(gates)]


async def done_after(pool: HashingPool, opened: int, gates: list[threading.Event], tasks: list[Any]) -> int:
    """How many have their result once the gate of one more is open."""
    gates[opened].set()
    await until(lambda: pool.started == opened + 2 or all(task.done() for task in tasks))
    await settle()
    return sum(task.done() for task in tasks)


async def test_results_come_together_while_many_are_queued() -> None:
    pool = HashingPool(threads=1, queue=64, late=3600)
    gates, tasks = queue_up(pool, 24)
    await settle()
    come = [await done_after(pool, n, gates, tasks) for n in range(24)]
    # Job n came with n - 1 ahead and is held for (n - 1) // 4 at most, or a quarter of those that are still behind.
    assert come[:9] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert come[9:] == [9, 11, 11, 13, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24]
    pool.close()


async def test_a_result_for_whoever_waited_long_comes_at_once() -> None:
    pool = HashingPool(threads=1, queue=64, late=0)
    gates, tasks = queue_up(pool, 24)
    await settle()
    assert [await done_after(pool, n, gates, tasks) for n in range(24)] == list(range(1, 25))
    pool.close()


async def test_a_result_waits_for_nobody_who_gave_up_or_is_cancelled_itself() -> None:
    pool = HashingPool(threads=1, queue=64, late=3600)
    gates, tasks = queue_up(pool, 24)
    await settle()
    for n in range(10):
        await done_after(pool, n, gates, tasks)
    assert [task.done() for task in tasks[8:11]] == [True, False, False]
    for task in tasks[15:]:
        task.cancel()
    await settle()
    assert tasks[9].result()
    for gate in gates:
        gate.set()
    assert await asyncio.gather(*tasks[:15]) == [True] * 15
    pool.close()


@pytest.mark.parametrize("end", ["cancelled", "closed", "failed"])
async def test_a_result_waits_for_nothing_that_will_not_come(end: str) -> None:
    pool = HashingPool(threads=1, queue=64, late=3600)
    gates, tasks = queue_up(pool, 10)
    failing = threading.Event()
    tasks.append(asyncio.create_task(pool.run("x", lambda: failing.wait() and 1 // 0)))
    more = [asyncio.create_task(pool.run(str(n), failing.wait)) for n in range(13)]
    await settle()
    for n in range(10):
        await done_after(pool, n, gates, tasks)
    assert not tasks[9].done()
    match end:
        case "cancelled":
            tasks[9].cancel()
        case "closed":
            pool.close()
        case _:
            failing.set()
    await until(tasks[9].done)
    assert tasks[9].cancelled() if end == "cancelled" else tasks[9].result()
    failing.set()
    await asyncio.gather(*tasks, *more, return_exceptions=True)
    pool.close()


async def test_a_closed_pool_refuses_and_keeps_nobody_waiting(gate: threading.Event) -> None:
    pool = HashingPool(threads=1, queue=64)
    held = await hold(pool, gate, *"abc")
    pool.close()
    gate.set()
    answers = await asyncio.gather(*held, return_exceptions=True)
    assert [type(answer) for answer in answers] == [bool, RuntimeError, RuntimeError]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux alone")
async def test_t09_hashing_stands_back_behind_the_event_loop() -> None:
    pool = HashingPool(threads=1, queue=1)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert await pool.run("a", lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())) == 19
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
    pool.close()


async def test_hashing_happens_in_threads_of_its_own(passwords: PasswordHasher) -> None:
    before = set(threading.enumerate())
    await passwords.hash(PASSWORD, share="net")
    [started] = set(threading.enumerate()) - before
    assert started.name.startswith("propusk-hash")


def test_a_hasher_starts_no_thread_and_computes_nothing_until_it_is_asked() -> None:
    before = set(threading.enumerate())
    passwords = hasher(PasswordSettings(memory_kib=1 << 19, iterations=2))
    assert passwords.calls == 0
    assert set(threading.enumerate()) <= before
    passwords.close()


@pytest.mark.skipif(sys.platform != "linux", reason="affinity can be set on Linux alone")
def test_workers_share_the_cores_that_we_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        assert hashing_threads(1) == len(allowed)
        os.sched_setaffinity(0, {min(allowed)})
        assert hashing_threads(1) == 1
        assert hashing_threads(4) == 1
    finally:
        os.sched_setaffinity(0, allowed)
