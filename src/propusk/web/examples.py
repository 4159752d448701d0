"""Examples for the OpenAPI document, in one place so that they tell one story."""

from typing import Any

PASSWORD = "correct horse battery staple"
_USER_ID = "019d2f6e-7c3a-7b54-9a1e-5f0c8d2e4b61"
_SESSION_ID = "019d2f71-04de-7a02-8c6f-3b9d1e7a5f28"
_ACCESS = "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6Ii4uLiJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl"
REFRESH = "AZ0vcQTeegKMbzudHnpfKAAAAAE.c2VjcmV0LW9mLXRoaXMtdG9rZW4"
ONE_TIME = "pot1_VGhlIHRva2VuIG9mIGEgbGluayBpbiBhIG1haWw_Mzgx"

USER: dict[str, Any] = {
    "id": _USER_ID,
    "email": "ada@example.com",
    "username": "ada",
    "name": "Ada Lovelace",
    "is_active": True,
    "is_verified": False,
    "is_superuser": False,
    "locale": "en",
    "profile": {"team": "engines"},
    "created_at": "2026-11-21T09:30:00.123456Z",
    "updated_at": "2026-11-21T09:30:00.123456Z",
    "last_login_at": None,
}
SESSION: dict[str, Any] = {
    "id": _SESSION_ID,
    "created_at": "2026-11-21T09:31:00.123456Z",
    "last_seen_at": "2026-11-21T09:31:00.123456Z",
    "expires_at": "2026-12-21T09:31:00.123456Z",
    "ip": "198.51.100.7",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "device": "Firefox on Linux",
    "current": True,
}
TOKENS: dict[str, Any] = {
    "access_token": _ACCESS,
    "token_type": "bearer",
    "expires_in": 600,
    "refresh_token": REFRESH,
    "refresh_expires_in": 2592000,
    "session_id": _SESSION_ID,
}
COOKIE_LOGIN: dict[str, Any] = {"session_id": _SESSION_ID, "expires_in": 600, "user": USER}
INTROSPECTION: dict[str, Any] = {
    "active": True,
    "token_type": "access_token",
    "iss": "http://127.0.0.1:8000",
    "aud": "http://127.0.0.1:8000",
    "client_id": "http://127.0.0.1:8000",
    "sub": _USER_ID,
    "sid": _SESSION_ID,
    "jti": "019d2f71-0a11-7c3e-9b52-6d4f8e1a2c37",
    "iat": 1795253460,
    "exp": 1795254060,
}
KEY_SET: dict[str, Any] = {
    "keys": [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            "alg": "EdDSA",
            "use": "sig",
        }
    ]
}
