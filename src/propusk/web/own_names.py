"""Our components in a document of somebody else's, who may have some of the same names."""

from collections.abc import Iterator, Mapping, Set
from copy import deepcopy
from typing import Any

_SCHEMES = "propusk_"
"""What the names of our security schemes begin with until `name_schemes`."""
Document = dict[str, Any]
CALLER = "propusk_caller"
"""The scheme of whatever wants to know who is calling; in the document each of these stands for it."""
_WAYS: Document = {
    "propusk_bearer": {
        "type": "http",
        "description": "The access token of POST /auth/login, as `Authorization: Bearer …` (RFC 6750).",
        "scheme": "bearer",
    },
    "propusk_login": {
        "type": "oauth2",
        "description": "The same, fetched by the Authorize button of `/docs`.",
        "flows": {"password": {"scopes": {}, "tokenUrl": "auth/login", "refreshUrl": "auth/refresh"}},
    },
    "propusk_cookie": {
        "type": "apiKey",
        "description": "Set by POST /auth/login?transport=cookie.",
        "in": "cookie",
        "name": "__Host-propusk_access",
    },
}


def name_schemes(document: Document, paths: Set[str]) -> dict[str, str]:
    """Call our security schemes `cookie` and the like, but for those whose short name is the host's.

    Args:
        paths: ours.
    Returns:
        What each is called now, by its short name.
    """
    components = document.setdefault("components", {})
    schemes = components.get("securitySchemes", {})
    if schemes.pop(CALLER, None) is not None:
        schemes = deepcopy(_WAYS) | schemes
    names = {name.removeprefix(_SCHEMES): name for name in schemes if name.startswith(_SCHEMES)}
    names = {short: long if short in schemes else short for short, long in names.items()}
    if schemes:
        components["securitySchemes"] = _named(schemes, names, ours=False)
    for path, item in document["paths"].items():
        for operation in _operations(item):
            if "security" in operation:
                ways = [way for found in operation["security"] for way in _ways_of(found)]
                operation["security"] = [_named(way, names, ours=path in paths) for way in ways]
    return names


def _ways_of(way: Document) -> list[Document]:
    return [{name: way[CALLER]} for name in _WAYS] if CALLER in way else [way]


def _named(of_schemes: Mapping[str, Any], names: Mapping[str, str], *, ours: bool) -> dict[str, Any]:
    """The same by their final names. Some of our operations say the short ones themselves."""
    return {
        names.get(name.removeprefix(_SCHEMES), name) if ours or name.startswith(_SCHEMES) else name: value
        for name, value in of_schemes.items()
    }


def add_components(document: Document, kind: str, ours: Document, paths: Set[str] = frozenset()) -> dict[str, str]:
    """Add components that refer to each other at most. If one of the names is the host's, all get a prefix.

    Args:
        kind: `schemas` or `headers`.
        paths: ours whose operations refer to them.
    Returns:
        What each is called now.
    """
    there = document.setdefault("components", {}).setdefault(kind, {})
    names = {name: name for name in ours}
    if any(there.get(name, component) != component for name, component in ours.items()):
        names = {name: f"Propusk{name}" for name in ours}
        _rename(ours, kind, names)
        for path in paths & document["paths"].keys():
            _rename(document["paths"][path], kind, names)
    there |= {names[name]: component for name, component in ours.items()}
    return names


def _rename(node: Any, kind: str, names: Mapping[str, str]) -> None:
    for holder in _references(node):
        start, _, name = holder["$ref"].rpartition("/")
        if start == f"#/components/{kind}" and name in names:
            holder["$ref"] = f"{start}/{names[name]}"


def schemas_of(document: Document, paths: Set[str]) -> set[str]:
    """The names of the schemas that operations at these paths refer to, directly or by way of others."""
    schemas = document.get("components", {}).get("schemas", {})
    found: set[str] = set()
    new = [document["paths"][path] for path in paths & document["paths"].keys()]
    while new:
        names = {holder["$ref"].rpartition("/")[2] for node in new for holder in _references(node)}
        names = (names & schemas.keys()) - found
        found |= names
        new = [schemas[name] for name in names]
    return found


def _references(node: Any) -> Iterator[Document]:
    """Every object with a `$ref`."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _operations(item: Document) -> Iterator[Document]:
    return (operation for operation in item.values() if isinstance(operation, dict))
