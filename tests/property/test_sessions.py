"""Whatever people do with their sessions, in whatever order: who is in is who should be, on every database.

The real app on a real database plays against a model of a few lines. Each database has one house and one event loop;
each run has users of its own.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from propusk.context import Context
from propusk.server import create_app
from propusk.users.change import change_user
from tests.backends import Backend
from tests.conftest import empty
from tests.kit import FakeClock, House, SeededEntropy, make_settings

T = TypeVar("T")
GRACE, IDLE, AGE, CAP = timedelta(seconds=10), timedelta(days=30), timedelta(days=50), 3
ACCESS = timedelta(minutes=10)
anything = st.integers(0, 1000)


@dataclass(eq=False)
class Account:
    """Somebody, as the model sees them."""

    id: str
    email: str
    password: str
    active: bool = True
    deleted: bool = False


@dataclass(eq=False)
class Login:
    """A session, as the model sees it: `refresh[n]` is its n-th refresh token."""

    account: Account
    id: str
    refresh: list[str]
    access: str
    access_until: float
    idle_until: datetime
    ends_at: datetime
    refreshed_at: datetime | None = None
    ended: bool = False
    thefts: int = field(default=0)

    def is_live(self, now: datetime) -> bool:
        return not self.ended and now < min(self.idle_until, self.ends_at)

    def is_in(self, now: datetime) -> bool:
        return self.is_live(now) and now.timestamp() < self.access_until

    def take(self, tokens: dict[str, Any], now: datetime) -> None:
        """The tokens of an answer that were made at `now`."""
        left = (min(self.idle_until, self.ends_at) - now) // timedelta(seconds=1)
        lives = min(int(ACCESS.total_seconds()), left)
        assert (tokens["expires_in"], tokens["refresh_expires_in"]) == (lives, left)
        assert tokens["session_id"] == self.id
        self.access, self.access_until = tokens["access_token"], int(now.timestamp()) + lives


class Sessions(RuleBasedStateMachine):
    """The machine; `house` and `runner` belong to the test."""

    house: House
    runner: asyncio.Runner
    numbers = count()

    def __init__(self) -> None:
        super().__init__()
        self.accounts: list[Account] = []
        self.logins: list[Login] = []

    # words

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def now(self) -> datetime:
        return self.house.clock.now

    def call(self, method: str, path: str, *, by: Login | None = None, json: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {by.access}"} if by else {}
        return self.do(self.house.client.request(method, path, headers=headers, json=json))

    def account(self, n: int) -> Account:
        return self.accounts[n % len(self.accounts)]

    def login(self, n: int) -> Login:
        return self.logins[n % len(self.logins)]

    def live_of(self, account: Account) -> list[Login]:
        return [login for login in self.logins if login.account is account and login.is_live(self.now)]

    def end_all(self, account: Account, keep: Login | None = None) -> int:
        ended = [login for login in self.live_of(account) if login is not keep]
        for login in self.logins:
            if login.account is account and login is not keep:
                login.ended = True
        return len(ended)

    def expect(self, answer: httpx.Response, status: int, code: str | None = None) -> None:
        assert answer.status_code == status, (answer.status_code, answer.text)
        assert code is None or answer.json()["code"] == code

    # rules

    @precondition(lambda self: len(self.accounts) < 3)
    @rule()
    def register(self) -> None:
        email = f"user{next(self.numbers)}@example.com"
        password = f"zq7canary {email[:6]} horse"
        answer = self.call("POST", "/auth/register", json={"email": email, "password": password})
        self.expect(answer, 201)
        self.accounts.append(Account(answer.json()["id"], email, password))

    @precondition(lambda self: self.accounts)
    @rule(n=anything, right=st.integers(0, 4))
    def log_in(self, n: int, right: int) -> None:
        account = self.account(n)
        self.house.clock.tick(milliseconds=1)  # so that there is an oldest
        body = {"login": account.email, "password": account.password if right else "zq7canary wrong"}
        answer = self.call("POST", "/auth/login", json=body)
        if not right or account.deleted:
            self.expect(answer, 401, "invalid_credentials")
        elif not account.active:
            self.expect(answer, 403, "account_disabled")
        else:
            self.expect(answer, 200)
            tokens = answer.json()
            ends, idle = self.now + AGE, self.now + IDLE
            login = Login(account, tokens["session_id"], [tokens["refresh_token"]], "", 0, idle, ends)
            login.take(tokens, self.now)
            for surplus in self.live_of(account)[: max(0, len(self.live_of(account)) + 1 - CAP)]:
                surplus.ended = True
            self.logins.append(login)

    @precondition(lambda self: self.logins)
    @rule(n=anything, behind=st.sampled_from([0, 0, 0, 1, 1, 2]))
    def refresh(self, n: int, behind: int) -> None:
        login = self.login(n)
        behind = min(behind, len(login.refresh) - 1)
        answer = self.call("POST", "/auth/refresh", json={"refresh_token": login.refresh[-1 - behind]})
        in_grace = login.refreshed_at is not None and self.now <= login.refreshed_at + GRACE
        if not login.is_live(self.now):
            self.expect(answer, 401, "invalid_refresh_token")
        elif behind == 0:
            self.expect(answer, 200)
            login.refreshed_at = self.now
            login.idle_until = min(self.now + IDLE, login.ends_at)
            assert answer.json()["refresh_token"] not in login.refresh
            login.refresh.append(answer.json()["refresh_token"])
            login.take(answer.json(), self.now)
        elif behind == 1 and in_grace:
            self.expect(answer, 200)
            assert answer.json()["refresh_token"] == login.refresh[-1]
            login.take(answer.json(), self.now)
        else:
            self.expect(answer, 401, "refresh_token_reused")
            login.ended = True
            login.thefts += 1

    @precondition(lambda self: self.logins)
    @rule(
        n=anything, again=st.integers(1, 2), seconds=st.sampled_from([0, 9, 10, 10.001, 11]), behind=st.integers(1, 2)
    )
    def replay(self, n: int, again: int, seconds: float, behind: int) -> None:
        """Chance alone would seldom put these together."""
        for _ in range(again):
            self.refresh(n, 0)
        self.house.clock.tick(seconds=seconds)
        self.refresh(n, behind)

    @precondition(lambda self: self.logins)
    @rule(n=anything, by_access=st.booleans(), which=anything)
    def log_out(self, n: int, by_access: bool, which: int) -> None:
        login = self.login(n)
        if by_access:
            answer, good = self.call("POST", "/auth/logout", by=login), login.is_in(self.now)
        else:
            token = login.refresh[which % len(login.refresh)]
            answer = self.call("POST", "/auth/logout", json={"refresh_token": token})
            good = login.is_live(self.now)
        self.expect(answer, 204 if good else 401)
        login.ended = login.ended or good

    @precondition(lambda self: self.logins)
    @rule(n=anything, m=anything)
    def end_one(self, n: int, m: int) -> None:
        actor, other = self.login(n), self.login(m)
        answer = self.call("DELETE", f"/auth/sessions/{other.id}", by=actor)
        if not actor.is_in(self.now):
            self.expect(answer, 401, "invalid_access_token")
        elif actor.account is not other.account or not other.is_live(self.now):
            self.expect(answer, 404, "not_found")
        else:
            self.expect(answer, 204)
            other.ended = True

    @precondition(lambda self: self.logins)
    @rule(n=anything, keep=st.booleans())
    def end_every(self, n: int, keep: bool) -> None:
        actor = self.login(n)
        answer = self.call("DELETE", f"/auth/sessions?keep_current={str(keep).lower()}", by=actor)
        if actor.is_in(self.now):
            self.expect(answer, 200)
            assert answer.json() == {"revoked": self.end_all(actor.account, actor if keep else None)}
        else:
            self.expect(answer, 401)

    @precondition(lambda self: self.logins)
    @rule(n=anything, right=st.integers(0, 3))
    def change_password(self, n: int, right: int) -> None:
        actor = self.login(n)
        new = f"zq7canary {next(self.numbers)} battery"
        current = actor.account.password if right else "zq7canary wrong"
        answer = self.call(
            "POST", "/users/me/password", by=actor, json={"current_password": current, "new_password": new}
        )
        if not actor.is_in(self.now):
            self.expect(answer, 401)
        elif not right:
            self.expect(answer, 403, "wrong_password")
        else:
            self.expect(answer, 204)
            self.end_all(actor.account, actor)
            actor.account.password = new

    @precondition(lambda self: self.accounts)
    @rule(n=anything, active=st.booleans())
    def set_active(self, n: int, active: bool) -> None:
        account = self.account(n)
        assume(not account.deleted)

        async def change(ctx: Context) -> None:
            await change_user(ctx, user_id=UUID(account.id), changes={"is_active": active}, actor_id=None)

        self.do(self.house.do(change))
        if account.active and not active:
            self.end_all(account)
        account.active = active

    @precondition(lambda self: self.logins)
    @rule(n=anything, sure=st.integers(0, 3))
    def delete_account(self, n: int, sure: int) -> None:
        actor = self.login(n)
        if sure:
            return
        answer = self.call("DELETE", "/users/me", by=actor, json={"password": actor.account.password})
        self.expect(answer, 204 if actor.is_in(self.now) else 401)
        if answer.status_code == 204:
            self.end_all(actor.account)
            actor.account.deleted = True

    @rule(seconds=st.sampled_from([0.5, 1, 5, 10, 11, 60, 60, 300, 599, 600, 86400, 29 * 86400, 31 * 86400]))
    def tick(self, seconds: float) -> None:
        self.house.clock.tick(seconds=seconds)

    # what must hold after each

    @invariant()
    def who_is_in_is_who_should_be(self) -> None:
        for login in self.logins:
            answer = self.call("GET", "/users/me", by=login)
            self.expect(answer, 200 if login.is_in(self.now) else 401)
            if answer.status_code == 200:
                assert answer.json()["email"] == login.account.email

    @invariant()
    def the_list_of_sessions_is_what_lives(self) -> None:
        actor = next((login for login in reversed(self.logins) if login.is_in(self.now)), None)
        if actor is not None:
            shown = self.call("GET", "/auth/sessions", by=actor).json()["items"]
            assert [one["id"] for one in shown] == [login.id for login in reversed(self.live_of(actor.account))]
            assert [one["id"] for one in shown if one["current"]] == [actor.id]

    def teardown(self) -> None:
        for login in self.logins:
            wanted = {"kind": "refresh_token_reuse_detected", "session_id": UUID(login.id)}
            assert len(self.do(self.house.rows("audit_events", **wanted))) == login.thefts


@pytest.mark.timeout(600)
def test_whatever_people_do_who_is_in_is_who_should_be(
    backend: Backend, signing_key_file: Path, tmp_path: Path
) -> None:
    clock = FakeClock()
    made = make_settings(
        *(backend.url, tmp_path),
        signing_key_file=signing_key_file,
        refresh_token_ttl=IDLE,
        session_max_age=AGE,
        refresh_grace=GRACE,
        access_token_ttl=ACCESS,
        max_sessions_per_user=CAP,
    )

    async def open_house() -> House:
        app = create_app(made, clock=clock, entropy=SeededEntropy(f"zq7canary {tmp_path}"))
        house = House(app, app.state.propusk, clock)
        await empty(house.auth)  # names of an earlier test on this database would be taken
        await house.auth.start()
        return house

    with asyncio.Runner() as runner:
        house = runner.run(open_house())
        try:
            machine = type("Machine", (Sessions,), {"house": house, "runner": runner})
            checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
            # What a server of databases may do otherwise is seen in few of them, and each statement costs a trip there.
            examples = 30 if backend.name == "sqlite" else 12
            profile = settings(
                max_examples=examples, stateful_step_count=35, deadline=None, suppress_health_check=checks
            )
            run_state_machine_as_test(machine, settings=profile)
        finally:
            runner.run(house.close())
