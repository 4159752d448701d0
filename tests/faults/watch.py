"""People who live on through a fault, and note what they were told."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.process.people import PASSWORD, Login, login, logout, me, new_address, refresh, register
from tests.process.wire import Answer, Ask, Wire, once

PATIENCE = 25.0
"""Seconds for an answer; the balancer gives up before."""
CALM = 3.0
"""Seconds without anything bad, after which all is well again."""
LONGEST = 90.0
GOOD = ("200", "201", "204")
AGAIN = (502, 503, 504)


@dataclass(frozen=True)
class Seen:
    """A request and what became of it."""

    begun: float
    ended: float
    what: str


class Line:
    """A connection that is opened anew when it broke.

    Args:
        asked: when each line that waits for an answer has asked; ours is added.
    """

    def __init__(self, port: int, seen: list[Seen], asked: "dict[Line, float]") -> None:
        self._port = port
        self._seen = seen
        self._asked = asked
        self._wire: Wire | None = None

    async def ask(self, request: Ask) -> Answer | None:
        """The answer; None when there was none."""
        self._asked[self] = begun = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                self._wire = self._wire or await Wire.open(self._port)
                answer = await self._wire.ask(request)
        except (OSError, TimeoutError) as error:
            await self.close()
            self._note(begun, "silence" if isinstance(error, TimeoutError) else "closed")
            return None
        ours = "x-request-id" in answer.headers
        self._note(begun, str(answer.status) if ours else f"{answer.status} by the balancer")
        if ours and answer.status == 503:
            assert int(answer.headers["retry-after"]) > 0
        if answer.headers.get("connection") == "close":
            await self.close()
        return answer

    def _note(self, begun: float, what: str) -> None:
        self._seen.append(Seen(begun, time.monotonic(), what))
        del self._asked[self]

    async def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()


@dataclass
class Watch:
    """All of them: what they saw, and what must never be.

    Args:
        port: where they live; the balancer's.
        ports: where ended sessions are tried as well, past the balancer.
    """

    port: int
    ports: Sequence[int]
    seen: list[Seen] = field(default_factory=list)
    asked: dict[Line, float] = field(default_factory=dict)
    revoked: list[Login] = field(default_factory=list)
    strikes: int = 0
    accepted: int = 0
    wrong: list[str] = field(default_factory=list)
    stolen: int = 0
    """Living sessions that were ended as stolen: an old copy of a refresh reached a node late."""
    over: bool = False

    async def strike(self, port: int) -> None:
        """Ended sessions, at one node, without a pause."""
        line = Line(port, [], {})
        while not self.over:
            await asyncio.sleep(0.01)
            if not self.revoked:
                continue
            one = random.choice(self.revoked[-200:])
            answer = await line.ask(me(one.access))
            self.strikes += 1
            self.accepted += answer is not None and answer.status == 200
        await line.close()

    def what(self, since: float, until: float) -> str:
        """What was answered in that time, counted."""
        counted = Counter("done" if one.what in GOOD else one.what for one in self.seen if since <= one.ended <= until)
        return ", ".join(f"{count} {what}" for what, count in sorted(counted.items())) or "none"

    def last_bad(self) -> float:
        """When something was last refused, lost or late."""
        late = [time.monotonic() for begun in self.asked.values() if time.monotonic() - begun > CALM]
        bad = [one.ended for one in self.seen if one.what not in (*GOOD, "409") or one.ended - one.begun > CALM]
        return max(*late, *bad, 0.0, 0.0)

    async def calm(self) -> None:
        """Wait until all has been well for a while."""
        begun = time.monotonic()
        while time.monotonic() - max(begun, self.last_bad()) < CALM:
            assert time.monotonic() - begun < LONGEST, f"not well after {LONGEST:.0f} s"
            await asyncio.sleep(0.1)


@dataclass
class Citizen:
    """Somebody who registers, logs in, refreshes and logs out again and again, and remembers what was acknowledged."""

    watch: Watch
    line: Line
    email: str = field(default_factory=new_address)
    registered: bool = False
    main: Login | None = None
    ended: list[Login] = field(default_factory=list)
    done: int = 0

    async def live(self) -> None:
        if await self._do(register(self.email), 201, 409) is None:
            return
        self.registered = True
        while (answer := await self._do(login(self.email), 200)) is not None:
            one = Login.of(answer)
            first = self.main is None
            self.main = self.main or one
            if await self._do(me(self.main.access), 200) is None:
                return
            if (answer := await self._do(refresh(self.main.refresh), 200)) is None:
                return
            self.main = Login.of(answer)
            if first:
                continue
            # 401: an earlier try, to which nobody heard an answer, has ended it.
            if await self._do(logout(one.access), 204, 401) is None:
                return
            self.ended.append(one)
            self.watch.revoked.append(one)

    async def _do(self, request: Ask, *wanted: int) -> Answer | None:
        """Ask until it is done, or the watch is over."""
        while not self.watch.over:
            answer = await self.line.ask(request)
            if answer is not None and answer.status in wanted:
                self.done += 1
                return answer
            if answer is not None and answer.status == 401 and await self._was_taken_for_stolen():
                return None
            if answer is not None and answer.status not in AGAIN:
                self.watch.wrong.append(
                    f"{request.method} {request.path}: {answer.status} {answer.body.decode()[:200]}"
                )
                return None
            await asyncio.sleep(0.1)
        return None

    async def _was_taken_for_stolen(self) -> bool:
        main, self.main = self.main, None
        if main is None or (await once(self.watch.port, me(main.access))).status != 401:
            self.main = main
            return False
        self.watch.stolen += 1
        return True

    async def lost(self) -> int:
        """How much of what was acknowledged is not so."""
        if not self.registered:
            return 0
        missing = int(await self._status(login(self.email, PASSWORD)) != 200)
        if self.main is not None:
            missing += await self._status(refresh(self.main.refresh)) != 200
        for one in self.ended:
            missing += await self._status(me(one.access)) != 401
        for one in self.ended[-3:]:
            missing += await self._status(refresh(one.refresh)) != 401
        return missing

    async def _status(self, request: Ask) -> int:
        """What it is answered, once the service is well enough to know."""
        end = time.monotonic() + LONGEST
        while (answer := await once(self.watch.port, request)).status in AGAIN and time.monotonic() < end:
            await asyncio.sleep(0.2)
        return answer.status


@asynccontextmanager
async def watch(port: int, ports: Sequence[int], *, people: int = 8) -> AsyncIterator[tuple[Watch, list[Citizen]]]:
    """People who live, and ended sessions that are tried, beside what happens inside."""
    seen = Watch(port, ports)
    citizens = [Citizen(seen, Line(port, seen.seen, seen.asked)) for _ in range(people)]
    tasks = [asyncio.create_task(one.live()) for one in citizens]
    tasks += [asyncio.create_task(seen.strike(port)) for port in ports]
    try:
        yield seen, citizens
    finally:
        seen.over = True
        await asyncio.gather(*tasks)
        for one in citizens:
            await one.line.close()
