"""Plays a list of requests to an app and writes down what it answers, with names instead of what differs by the run.

Knows neither FastAPI Users nor Propusk: the recorder plays to the one, the test to the other.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

Step = Mapping[str, Any]
"""A request: `name`, `method`, `path`, and of `json`, `form`, `files`, `content`, `headers` and `token` what it has;
`keep` names parts of the answer. Or something that comes about otherwise: `act`, with its arguments.
"""
HEADERS = ("content-type", "allow", "location")


@dataclass
class Player:
    """Who plays.

    Args:
        client: of the app.
        acts: what a step may ask for beside requests. What one returns is kept under the step's `as`.
    """

    client: httpx.AsyncClient
    acts: Mapping[str, Callable[..., Awaitable[str | None]]]
    known: dict[str, str] = field(default_factory=dict)

    async def play(self, steps: Sequence[Step]) -> list[dict[str, Any]]:
        """The answers to the requests among the steps, by name."""
        return [answer for step in steps if (answer := await self._play(step)) is not None]

    async def _play(self, step: Step) -> dict[str, Any] | None:
        if "act" in step:
            made = await self.acts[step["act"]](**step["arguments"])
            if made is not None:
                self.known[step["as"]] = made
            return None
        answer = await self._ask(self._filled(step))
        body = _body(answer)
        for name, part in step.get("keep", {}).items():
            self.known.pop(name, None)  # the newest is last: some tokens are the same within a second
            self.known[name] = str(body[part])
        headers = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
        return {
            "name": step["name"],
            "status": answer.status_code,
            "headers": headers,
            "body": self._named(body),
        }

    async def _ask(self, step: Step) -> httpx.Response:
        headers = dict(step.get("headers", {}))
        if "token" in step:
            headers["Authorization"] = f"Bearer {step['token']}"
        content = step["content"].encode() if "content" in step else None
        files = {name: (None, value) for name, value in step.get("files", {}).items()} or None
        return await self.client.request(
            step["method"],
            step["path"],
            json=step.get("json"),
            data=step.get("form"),
            files=files,
            content=content,
            headers=headers,
        )

    def _filled(self, value: Any) -> Any:
        """The step with `{ada.token}` replaced by what was kept under that name."""
        if isinstance(value, str):
            for name, known in self.known.items():
                value = value.replace(f"{{{name}}}", known)
            return value
        if isinstance(value, dict):
            return {name: self._filled(inner) for name, inner in value.items()}
        return value

    def _named(self, value: Any) -> Any:
        """The answer with names in place of what was kept."""
        if isinstance(value, dict):
            return {name: self._named(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._named(inner) for inner in value]
        return next((f"{{{name}}}" for name, known in reversed(self.known.items()) if value == known), value)


def _body(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except json.JSONDecodeError:
        return answer.text
