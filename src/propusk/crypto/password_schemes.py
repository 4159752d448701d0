"""Password hashes that people bring along, as other frameworks store them.

A library would be larger than this table: pwdlib knows no PBKDF2 and no scrypt, libpass neither Django's scrypt nor
Werkzeug's formats, and none bounds what a stored hash may cost.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from functools import partial

import bcrypt
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2d, Argon2i, Argon2id

from propusk.setting_groups import ARGON2_KIB, ARGON2_KIB_TIMES_PASSES, ARGON2_PASSES

# What one verification may cost at most, whatever stands in an imported row: about two seconds of one core. A password
# is tried twice at times, and the second answer must come well before its request is given up. Within these bounds is
# what frameworks write by default, Django's PBKDF2 twice over, what OWASP names, and libsodium's MODERATE. The rest of
# what Argon2 may cost stands with the settings, as it binds them, too.
ARGON2_LANES = 16
BCRYPT_ROUNDS = 15
PBKDF2_ITERATIONS = 3_000_000
SCRYPT_BYTES = 1 << 28
SCRYPT_WORK = 1 << 22
SCRYPT_ENDS = 4
"""What PBKDF2 before and after it costs, as an addition to n: the most of it where n is small."""

Check = Callable[[str], bool]
"""Whether this password is the one. Raises ValueError, before anything is computed, if none like it can be."""


_ARGON2: dict[str, type[Argon2d | Argon2i | Argon2id]] = {"d": Argon2d, "i": Argon2i, "id": Argon2id}


def find_check(stored: str) -> Check | None:
    """The check for a stored hash; None if its scheme is unknown, its form is broken or it would cost too much."""
    if len(stored) > 1024:
        return None
    for form, build in _SCHEMES:
        if match := form.fullmatch(stored):
            try:
                return build(match)
            except ValueError:
                return None
    return None


def _argon2(kind: str, memory_kib: int, passes: int, lanes: int, salt: bytes, digest: bytes) -> Check:
    if not (
        8 <= memory_kib <= ARGON2_KIB
        and 1 <= passes <= min(ARGON2_PASSES, ARGON2_KIB_TIMES_PASSES // memory_kib)
        and 1 <= lanes <= ARGON2_LANES
        and len(digest) >= 12
    ):
        raise ValueError("parameters out of bounds")
    prepare = partial(
        _ARGON2[kind], salt=salt, length=len(digest), iterations=passes, lanes=lanes, memory_cost=memory_kib
    )
    prepare()  # refuses now what cannot be; to verify takes another one, as each serves once

    def check(password: str) -> bool:
        try:
            prepare().verify(password.encode(), digest)
        except InvalidKey:
            return False
        return True

    return check


def _bcrypt(match: re.Match[str], *, prehash: bool = False) -> Check:
    if not 4 <= int(match[2]) <= BCRYPT_ROUNDS:
        raise ValueError("rounds out of bounds")
    return partial(_check_bcrypt, match[1].encode(), prehash)


def _check_bcrypt(stored: bytes, prehash: bool, password: str) -> bool:
    text = password.encode()
    if prehash:
        text = hashlib.sha256(text).hexdigest().encode()
    # bcrypt sees 72 bytes and, in some implementations, stops at NUL: what it would cut is refused.
    if len(text) > 72 or b"\0" in text:
        raise ValueError("no password that bcrypt can tell from others")
    return bcrypt.checkpw(text, stored)


def _pbkdf2(name: str, iterations: str, salt: bytes, digest: bytes) -> Check:
    if not 1 <= int(iterations) <= PBKDF2_ITERATIONS or not 16 <= len(digest) <= hashlib.new(name).digest_size:
        raise ValueError("parameters out of bounds")

    def check(password: str) -> bool:
        found = hashlib.pbkdf2_hmac(name, password.encode(), salt, int(iterations), len(digest))
        return hmac.compare_digest(found, digest)

    return check


def _scrypt(n: int, r: int, p: int, salt: bytes, digest: bytes) -> Check:
    if n < 2 or n & (n - 1) or r < 1 or p < 1:
        raise ValueError("parameters that cannot be")
    if 128 * n * r > SCRYPT_BYTES or (n + SCRYPT_ENDS) * r * p > SCRYPT_WORK:
        raise ValueError("parameters out of bounds")
    if not 16 <= len(digest) <= 64:
        raise ValueError("digest of a strange length")

    def check(password: str) -> bool:
        found = hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=2 * SCRYPT_BYTES, dklen=len(digest))
        return hmac.compare_digest(found, digest)

    return check


def b64(text: str) -> bytes:
    """Base64 with or without padding; passlib also writes `.` for `+`."""
    text = text.rstrip("=").replace(".", "+")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


_BCRYPT = r"(\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53})"
_N = r"([0-9]{1,8})"
_B64 = r"([A-Za-z0-9+/.]+={0,2})"
_HEX = r"([0-9a-f]{2,256})"

_SCHEMES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Check]], ...] = (
    # The reference encoding, version 1.3; Django writes its own name in front.
    (
        re.compile(rf"(?:argon2)?\$argon2(id|i|d)\$v=19\$m={_N},t={_N},p={_N}\${_B64}\${_B64}"),
        lambda m: _argon2(m[1], int(m[2]), int(m[3]), int(m[4]), b64(m[5]), b64(m[6])),
    ),
    (re.compile(rf"(?:bcrypt\$)?{_BCRYPT}"), _bcrypt),
    # Django
    (re.compile(rf"bcrypt_sha256\${_BCRYPT}"), partial(_bcrypt, prehash=True)),
    (
        re.compile(rf"pbkdf2_(sha1|sha256)\${_N}\$([^$]+)\${_B64}"),
        lambda m: _pbkdf2(m[1], m[2], m[3].encode(), b64(m[4])),
    ),
    (
        re.compile(rf"scrypt\${_N}\$([^$]+)\${_N}\${_N}\${_B64}"),
        lambda m: _scrypt(int(m[1]), int(m[3]), int(m[4]), m[2].encode(), b64(m[5])),
    ),
    # passlib
    (
        re.compile(rf"\$pbkdf2(?:-(sha256|sha512))?\${_N}\${_B64}\${_B64}"),
        lambda m: _pbkdf2(m[1] or "sha1", m[2], b64(m[3]), b64(m[4])),
    ),
    (
        re.compile(rf"\$scrypt\$ln=([0-9]{{1,2}}),r={_N},p={_N}\${_B64}\${_B64}"),
        lambda m: _scrypt(1 << int(m[1]), int(m[2]), int(m[3]), b64(m[4]), b64(m[5])),
    ),
    # Werkzeug
    (
        re.compile(rf"pbkdf2:(sha1|sha256|sha512):{_N}\$([^$]+)\${_HEX}"),
        lambda m: _pbkdf2(m[1], m[2], m[3].encode(), bytes.fromhex(m[4])),
    ),
    (
        re.compile(rf"scrypt:{_N}:{_N}:{_N}\$([^$]+)\${_HEX}"),
        lambda m: _scrypt(int(m[1]), int(m[2]), int(m[3]), m[4].encode(), bytes.fromhex(m[5])),
    ),
)
