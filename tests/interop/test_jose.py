"""Our keys and tokens, read by libraries that are not ours: PyJWT, and jose of npm."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.conftest import MakeHouse

HERE = Path(__file__).parent
NODE = shutil.which("node")
SCRIPT = """
import { createLocalJWKSet, jwtVerify } from "jose"
import { readFileSync } from "node:fs"
const { token, jwks, issuer, audience, now } = JSON.parse(readFileSync(0, "utf8"))
const options = { issuer, audience, typ: "at+jwt", algorithms: ["EdDSA", "ES256", "RS256"], currentDate: new Date(now) }
const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(jwks), options)
console.log(JSON.stringify({ payload, alg: protectedHeader.alg }))
"""
ASYMMETRIC = ["EdDSA", "ES256", "RS256"]


@pytest.fixture
def node() -> str:
    """Node with jose beside it."""
    if NODE is None or not (HERE / "node_modules" / "jose").is_dir():
        reason = "needs node and `make interop`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return NODE


async def issued(make_house: MakeHouse, algorithm: str) -> dict[str, Any]:
    """A token, the published keys, and what a verifier is told of us."""
    house = await make_house(token_algorithm=algorithm, public_url="https://auth.example.com", audience="shop")
    ada = await house.register()
    jwks = (await house.client.get("/.well-known/jwks.json")).json()
    told = {"issuer": "https://auth.example.com", "audience": "shop", "now": house.clock.now.isoformat()}
    return {"token": ada.tokens["access_token"], "jwks": jwks, "sub": ada.id, "sid": ada.tokens["session_id"], **told}


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
async def test_pyjwt_verifies_our_tokens_by_our_published_keys(make_house: MakeHouse, algorithm: str) -> None:
    given = await issued(make_house, algorithm)
    keys = jwt.PyJWKSet.from_dict(given["jwks"])
    header = jwt.get_unverified_header(given["token"])
    assert header == {"typ": "at+jwt", "alg": algorithm, "kid": header["kid"]}
    # The house has a clock of its own, so PyJWT cannot judge the times.
    options: Any = {"require": ["exp", "iat", "iss", "aud", "sub", "jti"], "verify_exp": False, "verify_iat": False}
    how: Any = {"key": keys[header["kid"]].key, "algorithms": [algorithm], "options": options}
    claims = jwt.decode(given["token"], issuer=given["issuer"], audience=given["audience"], **how)
    assert (claims["sub"], claims["sid"], claims["client_id"]) == (given["sub"], given["sid"], "shop")
    assert claims["exp"] - claims["iat"] == 600
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(given["token"], issuer=given["issuer"], audience="other", **how)


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
async def test_jose_of_npm_verifies_our_tokens_by_our_published_keys(
    make_house: MakeHouse, algorithm: str, node: str
) -> None:
    given = await issued(make_house, algorithm)

    def verify(**changes: Any) -> subprocess.CompletedProcess[str]:
        command = [node, "--input-type=module", "--eval", SCRIPT]
        text = json.dumps({**given, **changes})
        return subprocess.run(command, cwd=HERE, input=text, capture_output=True, text=True, timeout=110, check=False)

    ran = verify()
    assert ran.returncode == 0, ran.stderr
    read = json.loads(ran.stdout)
    assert (read["alg"], read["payload"]["sub"], read["payload"]["sid"]) == (algorithm, given["sub"], given["sid"])
    assert verify(audience="other").returncode != 0
    assert verify(now="2026-11-21T10:30:00Z").returncode != 0
