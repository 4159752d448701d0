"""The models hold in every order of their steps, and each guard that is taken away is missed."""

from functools import partial
from pathlib import Path

import pytest

from tests.models import epoch, refresh
from tests.models.explore import explore
from tests.models.redis_liveness import AFTER, BEFORE, BOTH, FAULTS, FENCED, WAIT
from tests.models.table import MODELS, found, found_in_redis, lines

pytestmark = pytest.mark.xdist_group("models")  # explored once


@pytest.mark.parametrize("model", MODELS)
def test_no_order_of_steps_breaks_what_is_promised(model: str) -> None:
    result = found(model, None)
    assert result.wrong is None, "\n".join(result.trace)
    assert result.states > 1000, "there is little to go wrong in so few"


@pytest.mark.parametrize(("model", "bug"), [(name, bug) for name, model in MODELS.items() for bug in model.bugs])
def test_a_guard_that_is_taken_away_is_missed(model: str, bug: str) -> None:
    result = found(model, bug)
    assert result.wrong is not None
    assert result.trace, "nobody did anything"


@pytest.mark.parametrize("guard", epoch.DOUBLED)
def test_either_of_two_guards_holds_without_the_other(guard: str) -> None:
    assert epoch.MODEL.explore(guard).wrong is None


def test_who_refreshes_twice_while_an_older_request_is_under_way_is_taken_for_a_thief() -> None:
    """By choice: the parent of the current token is answered, and nothing older."""
    tabs = {name: partial(refresh.client, None) for name in ("tab", "other tab", "third tab")}
    found = explore(refresh.ROWS, tabs, check=refresh.nobody_is_logged_out)
    assert found.wrong == "somebody honest was logged out"
    assert sum(step.endswith("claim_refresh → True") for step in found.trace) == 2


@pytest.mark.parametrize(
    ("protocol", "breaks"),
    [
        (None, set()),
        (BEFORE, {"paused", "restarted empty", "failover", "split"}),
        (AFTER, {"paused", "restarted empty", "failover", "split"}),
        (BOTH, {"paused", "restarted empty", "failover", "split"}),
        (WAIT, {"restarted empty", "split"}),
        (FENCED, {"split"}),
    ],
)
def test_no_protocol_by_redis_survives_every_fault(protocol: str | None, breaks: set[str]) -> None:
    assert {fault for fault in FAULTS if found_in_redis(protocol, fault).wrong is not None} == breaks


def test_the_document_shows_what_is_found() -> None:
    assert "\n".join(lines()) in Path("docs/models.md").read_text(), "python -m tests.models --write"
