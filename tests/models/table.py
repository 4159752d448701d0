"""What the models found, as Markdown."""

from collections.abc import Iterator
from functools import cache

from tests.models import epoch, lease, liveness, redis_liveness, refresh
from tests.models.explore import Found
from tests.models.model import Model

MODELS: dict[str, Model] = {
    module.MODEL.name: module.MODEL for module in (epoch, refresh, liveness, lease, redis_liveness)
}


@cache
def found(model: str, bug: str | None) -> Found:
    """What a model finds, explored once."""
    return MODELS[model].explore(bug)


@cache
def found_in_redis(protocol: str | None, fault: str) -> Found:
    return redis_liveness.explore_one(protocol, fault)


def lines() -> Iterator[str]:
    """The models with all guards; what is found when one is taken away; Redis under each fault."""
    yield "| model | copies | states | wrong |"
    yield "| --- | --- | --- | --- |"
    for name, model in MODELS.items():
        result = found(name, None)
        yield f"| {name} | {model.mirrors} | {result.states} | {result.wrong or 'nothing'} |"
    yield ""
    yield "| model | done wrong | found | states until then | steps to it |"
    yield "| --- | --- | --- | --- | --- |"
    for name, model in MODELS.items():
        for bug, what in model.bugs.items():
            result = found(name, bug)
            yield f"| {name} | {what} | {result.wrong or 'nothing'} | {result.states} | {len(result.trace)} |"
    yield ""
    yield f"| Redis | {' | '.join(redis_liveness.FAULTS)} |"
    yield "| --- |" + " --- |" * len(redis_liveness.FAULTS)
    for protocol in (*redis_liveness.BUGS, None):
        results = [found_in_redis(protocol, fault) for fault in redis_liveness.FAULTS]
        cells = " | ".join("**wrong**" if result.wrong else "holds" for result in results)
        yield f"| {protocol or 'not asked: the database is'} | {cells} |"


def traces() -> Iterator[str]:
    """The shortest way to each wrong state."""
    for name, model in MODELS.items():
        for bug in model.bugs:
            result = found(name, bug)
            yield f"{name}, {bug}: {result.wrong}"
            yield from (f"    {step}" for step in result.trace)
