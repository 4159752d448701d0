"""Who is at the other end: the address behind trusted proxies, the network it is limited by, the user agent, the
language.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from propusk.mail.render import LANGUAGES
from propusk.setting_types import Network
from propusk.web.headers import header_values

HAS_GONE = "propusk.has_gone"
"""Key of the scope: asks whether the client has hung up. Set by who has read all of the body, or a piece would be lost.
"""
MAX_HOPS = 32
MAX_USER_AGENT = 512
MAX_LANGUAGES = 512
UNKNOWN = "unknown"

Address = IPv4Address | IPv6Address

_PORT = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]{1,32}))?"
_HOP = re.compile(rf"\[([^\[\]]{{1,64}})\]{_PORT}|([0-9.]{{7,15}}){_PORT}|([^\[\]]{{1,64}})")
_TCHARS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
# Colons and brackets should stand in quotes (RFC 7239, section 6), and do not with some proxies.
_PAIR = rf"""({_TCHARS})=((?:[!#$%&'*+.^_`|~0-9A-Za-z:\[\]-]++)|"(?:[^"\\]++|\\.)*")"""
_SPACE = r"[ \t]*+"
_ELEMENT = rf"{_PAIR}(?:{_SPACE};{_SPACE}(?:{_PAIR})?)*"
_FORWARDED = re.compile(rf"{_SPACE}{_ELEMENT}(?:{_SPACE},{_SPACE}{_ELEMENT})*{_SPACE}")
_LANGUAGE = re.compile(
    r"[ \t]*+([a-z]{1,8})(?:-[a-z0-9]{1,8})*+[ \t]*+(?:;[ \t]*+q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*+)?"
)
_PAIR_OR_COMMA = re.compile(rf"{_PAIR}|,")


def client_address(scope: Mapping[str, Any], trusted: Sequence[Network]) -> str | None:
    """The client's address in its shortest form.

    `X-Forwarded-For` and `Forwarded` (RFC 7239) count only when the peer is a trusted proxy. They are read from the
    right, hop by hop, and the first that is not trusted is the client; where a hop is no address, the last good one
    before it is. When both headers are there and disagree the peer is the client: a proxy that sets one and passes
    the other on would else let its clients choose.

    Args:
        scope: the ASGI scope of the request.
        trusted: networks of our proxies.
    Returns:
        IPv4 or IPv6; None when the server knows no address (a Unix socket), which is `network_of(None)` to the limiter.
    """
    host = (scope.get("client") or ("",))[0]
    peer = _address(str(host or ""))
    if peer is None:
        return None
    if not _is_trusted(peer, trusted):
        return str(peer)
    found = set()
    if values := header_values(scope, b"x-forwarded-for"):
        found.add(_client_of(peer, _hops_of_list(values), trusted))
    if values := header_values(scope, b"forwarded"):
        found.add(_client_of(peer, _hops_of_forwarded(values), trusted))
    return str(found.pop() if len(found) == 1 else peer)


def _client_of(peer: Address, hops: Iterable[str], trusted: Sequence[Network]) -> Address:
    last = peer
    for hop in hops:
        match = _HOP.fullmatch(hop)
        address = _address(match[1] or match[2] or match[3]) if match else None
        if address is None:
            return last
        last = address
        if not _is_trusted(address, trusted):
            return last
    return last


def _hops_of_list(values: list[bytes]) -> list[str]:
    """The nearest `MAX_HOPS` of X-Forwarded-For, nearest first."""
    nearest = b",".join(values).rsplit(b",", MAX_HOPS)[-MAX_HOPS:]
    return [hop.decode("latin-1").strip(" \t") for hop in reversed(nearest)]


def _hops_of_forwarded(values: list[bytes]) -> list[str]:
    """The nearest `MAX_HOPS` of Forwarded, nearest first; an empty text for what cannot be read.

    Line by line: a quote that a client left open in its own line shall not swallow the line that our proxy added.
    """
    hops: list[str] = []
    for value in reversed(values):
        line = value.decode("latin-1")
        if not _FORWARDED.fullmatch(line):
            return [*hops, ""]
        hops.extend(reversed(_nodes(line)))
        if len(hops) > MAX_HOPS:
            break
    return hops[:MAX_HOPS]


def _nodes(line: str) -> list[str]:
    """The `for` of each element of a well-formed line; an empty text where there is none or more than one."""
    elements: list[list[str]] = [[]]
    for match in _PAIR_OR_COMMA.finditer(line):
        if match[0] == ",":
            elements.append([])
        elif match[1].lower() == "for":
            elements[-1].append(re.sub(r"\\(.)", r"\1", match[2][1:-1]) if match[2][0] == '"' else match[2])
    return [nodes[0] if len(nodes) == 1 else "" for nodes in elements]


def _address(text: str) -> Address | None:
    """Without its zone (RFC 4007, section 11), which means nothing to others; IPv4 in IPv6 as IPv4."""
    try:
        address = ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def network_of(address: str | None) -> str:
    """What a client is limited by: its IPv4 address, its IPv6 /64, or `unknown`, which is limited like any other."""
    parsed = _address(address or "")
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed or UNKNOWN)


def preferred_language(scope: Mapping[str, Any]) -> str | None:
    """The language of ours that the client likes best by Accept-Language (RFC 9110, section 12.5.4); None if it names
    none, or none of ours.
    """
    values = header_values(scope, b"accept-language")
    return _best_language(b",".join(values)[:MAX_LANGUAGES]) if values else None


@lru_cache(maxsize=256)  # browsers of one place send one and the same
def _best_language(header: bytes) -> str | None:
    best, weight = None, 0.0
    for element in header.decode("latin-1").lower().split(","):
        match = _LANGUAGE.fullmatch(element)
        if match is not None and match[1] in LANGUAGES and float(match[2] or 1) > weight:
            best, weight = match[1], float(match[2] or 1)
    return best


def user_agent(scope: Mapping[str, Any]) -> str:
    """The first User-Agent header, at most `MAX_USER_AGENT` characters, without controls, bidi marks and line ends."""
    raw = next(iter(header_values(scope, b"user-agent")), b"")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    shown = [c for c in text[: 4 * MAX_USER_AGENT] if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    return "".join(shown[:MAX_USER_AGENT]).strip()
