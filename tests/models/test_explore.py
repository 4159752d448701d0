"""The explorer itself: transactions, locks, every order, the shortest way."""

from tests.models.explore import Program, World, commit, explore, note, read, read_locked, rollback, update


def nothing_is_wrong(_: World) -> None:
    return None


def raised(row: str) -> Program:
    """Reads a number, and writes one more without asking whether it still is what it was."""
    number = yield read("read", lambda rows: rows[row])
    yield update("write", row, lambda _: True, lambda _: number + 1)
    yield commit()


def test_every_order_of_two_times_two_steps_is_gone_through() -> None:
    def two(name: str) -> Program:
        yield note(f"{name} 1")
        yield note(f"{name} 2")

    found = explore({}, {"a": lambda: two("a"), "b": lambda: two("b")}, check=nothing_is_wrong)
    assert found.states == 1 + 2 + 4 + 6 + 6, "1, 2, 4, 6 and 6 orders of 0 to 4 steps"


def test_a_lost_update_is_found_by_the_shortest_way() -> None:
    def lost(world: World) -> str | None:
        return "lost" if world.row("n") != 2 else None

    found = explore({"n": 0}, {"a": lambda: raised("n"), "b": lambda: raised("n")}, check=nothing_is_wrong, at_end=lost)
    assert found.wrong == "lost"
    steps = ["read → 0", "write → True", "commit"]
    assert sorted(found.trace) == sorted(f"{name}: {step}" for name in "ab" for step in steps)
    assert {step.partition(" ")[2] for step in found.trace[:3]} == {"read → 0", "write → True"}, "nobody has committed"


def test_an_update_waits_and_then_looks_at_the_row_again() -> None:
    def counted() -> Program:
        yield update("add", "n", lambda n: n < 2, lambda n: n + 1)
        yield commit()

    def wrong(world: World) -> str | None:
        return None if world.row("n") == 2 else f"{world.row('n')}"

    actors = dict.fromkeys(("a", "b", "c"), counted)
    assert explore({"n": 0}, actors, check=nothing_is_wrong, at_end=wrong).wrong is None


def test_an_update_may_miss_a_row_that_would_match_once_another_commits() -> None:
    def sets() -> Program:
        yield update("set", "n", lambda _: True, lambda _: 1)
        yield commit()

    def adds() -> Program:
        if (yield update("add", "n", lambda n: n == 1, lambda n: n + 1)):
            yield commit("added")

    def ends(expected: bool) -> str | None:
        actors = {"sets": sets, "adds": adds}
        return explore(
            {"n": 0}, actors, check=lambda world: "so it is" if ("added" in world.facts) is expected else None
        ).wrong

    assert ends(expected=True) == "so it is"
    found = explore(
        {"n": 0},
        {"sets": sets, "adds": adds},
        check=nothing_is_wrong,
        at_end=lambda world: None if "added" in world.facts else "missed",
    )
    assert found.wrong == "missed"


def test_what_is_not_committed_is_seen_by_its_transaction_alone() -> None:
    def writes() -> Program:
        yield update("write", "n", lambda _: True, lambda _: 1)
        own = yield read("read", lambda rows: rows["n"])
        yield note(f"writer sees {own}")
        yield rollback()

    def reads() -> Program:
        seen = yield read("read", lambda rows: rows["n"])
        yield note(f"reader sees {seen}")

    def wrong(world: World) -> str | None:
        return f"{world.facts}" if not set(world.facts) <= {"writer sees 1", "reader sees 0"} else None

    assert explore({"n": 0}, {"w": writes, "r": reads}, check=wrong).wrong is None


def test_two_who_wait_for_each_other_are_found() -> None:
    def locks(one: str, other: str) -> Program:
        yield read_locked("lock", one)
        yield read_locked("lock", other)
        yield commit()

    crossed = {"a": lambda: locks("x", "y"), "b": lambda: locks("y", "x")}
    assert explore({"x": 0, "y": 0}, crossed, check=nothing_is_wrong).wrong == "a, b wait for ever"
    ordered = {"a": lambda: locks("x", "y"), "b": lambda: locks("x", "y")}
    assert explore({"x": 0, "y": 0}, ordered, check=nothing_is_wrong).wrong is None
