"""Tokens that were never issued: made from a valid one, or signed with the real key but wrong in what they say."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from joserfc.jwk import OctKey

from propusk.crypto.keyring import PrivateKey
from propusk.crypto.secrets import SecretKey
from propusk.settings import Algorithm

Named = tuple[str, str]


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Signer:
    """Signs whatever it is given, as no library would."""

    kid: str
    algorithm: Algorithm
    key: Any

    @classmethod
    def of(cls, private: PrivateKey) -> "Signer":
        return cls(private.kid, private.algorithm, load_pem_private_key(private.pem, None))

    @classmethod
    def of_secret(cls, secret: SecretKey) -> "Signer":
        return cls(f"hs256-{secret.fingerprint.hex()}", Algorithm.HS256, secret.derive("hs256"))

    @property
    def header(self) -> dict[str, Any]:
        return {"typ": "at+jwt", "alg": str(self.algorithm), "kid": self.kid}

    def sign(self, payload: object, header: object = None) -> str:
        """A token with a right signature over these bytes (or over the JSON of these values)."""
        head = header if isinstance(header, bytes) else compact(self.header if header is None else header)
        body = payload if isinstance(payload, bytes) else compact(payload)
        data = f"{b64(head)}.{b64(body)}"
        return f"{data}.{b64(self._sign(data.encode()))}"

    def _sign(self, data: bytes) -> bytes:
        match self.key:
            case ed25519.Ed25519PrivateKey():
                return self.key.sign(data)
            case ec.EllipticCurvePrivateKey():
                r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(SHA256())))
                return r.to_bytes(32) + s.to_bytes(32)
            case rsa.RSAPrivateKey():
                return self.key.sign(data, padding.PKCS1v15(), SHA256())
        return hmac.digest(self.key, data, "sha256")


_ALGORITHMS: Sequence[Any] = (
    *("none", "None", "nOnE", "NONE", "none ", "", None, [], ["EdDSA"], 0, 1, True, {}, {"alg": "none"}),
    *("eddsa", "EDDSA", "Ed25519", "Ed448", "es256", "ES256", "ES256K", "ES384", "ES512", "RS256", "RS384", "RS512"),
    *("PS256", "HS256", "HS384", "HS512", "HS1", "EdDSA", "dir", "A256GCM", "RSA1_5", "RSA-OAEP", "PBES2-HS256+A128KW"),
)
_KIDS: Sequence[Any] = (
    *("", None, 0, True, [], {}, "../../etc/passwd", "/etc/passwd", "/dev/null", "file:///etc/passwd"),
    *("' OR 1=1 --", "http://203.0.113.9/jwks.json", "\x00", "k" * 5000, "%2e%2e", "zq7canary", "${jndi:ldap://x}"),
)
_EXTRAS: Mapping[str, Any] = {
    "jku": "http://203.0.113.9/jwks.json",
    "x5u": "http://203.0.113.9/x.pem",
    "x5c": ["MIIB"],
    "x5t": "x",
    "crit": ["exp"],
    "b64": False,
    "zip": "DEF",
    "cty": "JWT",
    "enc": "A256GCM",
    "p2c": 2**31,
    "epk": {},
    "iss": "x",
    "x": 1,
}


def forgeries(token: str, public: Sequence[PrivateKey] = ()) -> list[Named]:
    """About two hundred tokens made from a valid one without any secret; of `public`, only the public half is used."""
    return [
        *_other_algorithms(token),
        *_public_key_as_secret(token, public),
        *_signatures(token),
        *_shapes(token),
        *_headers(token),
        *_payloads(token),
        *_keys_of_the_attacker(token),
    ]


def _parts(token: str) -> tuple[str, str, str, dict[str, Any]]:
    head, body, signature = token.split(".")
    return head, body, signature, json.loads(unb64(head))


def _other_algorithms(token: str) -> Iterator[Named]:
    _, body, signature, header = _parts(token)
    for algorithm in _ALGORITHMS:
        if algorithm == header["alg"]:
            continue
        head = b64(compact({**header, "alg": algorithm}))
        yield f"alg {algorithm!r} unsigned", f"{head}.{body}."
        yield f"alg {algorithm!r}", f"{head}.{body}.{signature}"
    head = b64(compact({name: value for name, value in header.items() if name != "alg"}))
    yield "no alg", f"{head}.{body}.{signature}"
    yield "no alg, unsigned", f"{head}.{body}."


def _public_key_as_secret(token: str, public: Sequence[PrivateKey]) -> Iterator[Named]:
    _, body, _, header = _parts(token)
    for key in public:
        half = load_pem_private_key(key.pem, None).public_key()
        pem = half.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        der = half.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        jwk = key.public_jwk
        raw = unb64(jwk.get("x") or jwk["n"])
        secrets = {
            "PEM": pem,
            "cut PEM": pem.strip(),
            "DER": der,
            "JWK": compact(jwk),
            "raw": raw,
            "kid": key.kid.encode(),
        }
        for name, secret in secrets.items():
            for kid in {key.kid, header["kid"]}:
                for algorithm, hash_name in (("HS256", "sha256"), ("HS512", "sha512")):
                    head = b64(compact({**header, "alg": algorithm, "kid": kid}))
                    mac = hmac.digest(secret, f"{head}.{body}".encode(), hash_name)
                    yield f"{algorithm} with the {key.algorithm} {name} as {kid}", f"{head}.{body}.{b64(mac)}"
    for secret in (b"", b"secret", b"\0" * 32):
        head = b64(compact({**header, "alg": "HS256"}))
        yield f"HS256 with {secret!r}", f"{head}.{body}.{b64(hmac.digest(secret, f'{head}.{body}'.encode(), 'sha256'))}"


def _signatures(token: str) -> Iterator[Named]:
    head, body, text, _ = _parts(token)
    signature = unb64(text)
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    others = {
        "empty": b"",
        "zeros": bytes(len(signature)),
        "64 zeros": bytes(64),
        "zero r": bytes(half) + signature[half:],
        "zero s": signature[:half] + bytes(half),
        "r and s swapped": signature[half:] + signature[:half],
        "r and s of the group's order": order.to_bytes(32) * 2,
        "r and s of one": (b"\0" * 31 + b"\1") * 2,
        "DER": encode_dss_signature(r, s),
        "cut": signature[:-1],
        "cut in front": signature[1:],
        "longer": signature + b"\0",
        "longer in front": b"\0" + signature,
        "reversed": signature[::-1],
        "twice": signature * 2,
        "ones": b"\xff" * len(signature),
    }
    for name, other in others.items():
        yield f"signature {name}", f"{head}.{body}.{b64(other)}"
    for bit in range(0, len(signature) * 8, len(signature) * 8 // 24):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"signature with bit {bit} flipped", f"{head}.{body}.{b64(bytes(flipped))}"
    spellings = {
        "padded": text + "=" * (-len(text) % 4 or 4),
        "padded once": text + "=",
        "with a space": text + " ",
        "with a newline": text + "\n",
        "with a tab in it": text[:9] + "\t" + text[9:],
        "percent-encoded": text.replace(text[0], f"%{ord(text[0]):02x}", 1),
        "with a stray letter": text + "A",
        "with a NUL": text + "\0",
        "in the standard alphabet": text.replace("-", "+").replace("_", "/") if set(text) & set("-_") else text + "+",
        "with stray bits": text[:-1] + chr(ord(text[-1]) + 1) if len(signature) % 3 else text + "B",
    }
    for name, spelling in spellings.items():
        yield f"signature {name}", f"{head}.{body}.{spelling}"


def _shapes(token: str) -> Iterator[Named]:
    head, body, signature, _ = _parts(token)
    shapes = [
        *("", ".", "..", "...", "....", "." * 100),
        *(head, body, f"{head}.{body}", f"{head}.{body}.", f".{body}.{signature}", f"{head}..{signature}"),
        *(f"{token}.", f".{token}", f"{token}.x", f"{token}.x.y", f"{head}.x.{body}.y.{signature}", f"{token}.{token}"),
        *(
            f"{head}.{signature}.{body}",
            f"{body}.{head}.{signature}",
            token.replace(".", "%2e"),
            token.replace(".", ":"),
        ),
        *(
            f" {token}",
            f"{token} ",
            f'"{token}"',
            token.upper(),
            token.swapcase(),
            b64(token.encode()),
            f"Bearer {token}",
        ),
        json.dumps({"protected": head, "payload": body, "signature": signature}),
        json.dumps({"payload": body, "signatures": [{"protected": head, "signature": signature}]}),
    ]
    for shape in shapes:
        yield f"shape {shape[:20]!r}", shape


def _headers(token: str) -> Iterator[Named]:
    _, body, signature, header = _parts(token)
    changed = [{**header, "kid": kid} for kid in _KIDS]
    changed += [{**header, name: value} for name, value in _EXTRAS.items()]
    changed += [{**header, "typ": typ} for typ in ("JWT", "AT+JWT", "application/at+jwt", "", None, 1)]
    for head in changed:
        yield f"header {str(head)[:60]}", f"{b64(compact(head))}.{body}.{signature}"
    loose = json.dumps(header, indent=1).encode()
    yield "header spelled otherwise", f"{b64(loose)}.{body}.{signature}"
    for raw in (b"", b"null", b"[]", b"{", b"\xff", b'{"alg":"none","alg":"EdDSA"}', b"[" * 5000, b'{"a":' * 900):
        yield f"header {raw[:20]!r}", f"{b64(raw)}.{body}.{signature}"


def _payloads(token: str) -> Iterator[Named]:
    head, body, signature, _ = _parts(token)
    claims = json.loads(unb64(body))
    for name, value in (("sub", "0" * 36), ("exp", claims["exp"] + 1), ("is_superuser", True), ("jti", "x")):
        yield f"claim {name}", f"{head}.{b64(compact({**claims, name: value}))}.{signature}"
    yield "payload spelled otherwise", f"{head}.{b64(json.dumps(claims).encode())}.{signature}"
    yield "empty payload", f"{head}..{signature}"


def _keys_of_the_attacker(token: str) -> Iterator[Named]:
    _, body, _, header = _parts(token)
    own: tuple[Any, Any] = (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1()))
    for algorithm, key in zip((Algorithm.EDDSA, Algorithm.ES256), own, strict=True):
        signer = Signer(header["kid"], algorithm, key)
        half = key.public_key()
        der = half.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        payload = unb64(body)
        yield f"{algorithm} of the attacker", signer.sign(payload)
        for extra in ({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(der[-32:])}}, {"x5c": [b64(der)]}, _EXTRAS):
            yield f"{algorithm} of the attacker with {list(extra)}", signer.sign(payload, {**signer.header, **extra})
        yield f"{algorithm} of the attacker as {header['alg']}", signer.sign(payload, header)
    secret = hashlib.sha256(b"attacker").digest()
    mine = Signer("attacker", Algorithm.HS256, secret)
    yield (
        "HS256 of the attacker with its key inside",
        mine.sign(unb64(body), {**mine.header, "jwk": OctKey.import_key(secret).as_dict()}),
    )


def misfits(signer: Signer, claims: Mapping[str, Any]) -> list[Named]:
    """Tokens that the real key signed, with a header that we would not have written."""
    good = signer.header
    headers: list[object] = [{**good, name: value} for name, value in _EXTRAS.items()]
    headers += [
        {**good, "jwk": {"kty": "oct", "k": "AAAA"}},
        {**good, "crit": []},
        {**good, "crit": ["b64"], "b64": True},
    ]
    headers += [
        {**good, "typ": typ} for typ in ("JWT", "AT+JWT", "application/at+jwt", "rt+jwt", "", None, 1, ["at+jwt"])
    ]
    headers += [{name: value for name, value in good.items() if name != missing} for missing in good]
    headers += [{**good, "kid": kid} for kid in _KIDS]
    headers += [compact(good)[:-1] + b',"alg":"none"}', compact(good)[:-1] + f',"kid":"{signer.kid}"}}'.encode(), b"[]"]
    return [(f"header {header!r:.80}", signer.sign(claims, header)) for header in headers]
