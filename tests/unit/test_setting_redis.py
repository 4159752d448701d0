"""`redis_url`: which forms it has, and that nothing of it is told when it cannot be read."""

import pytest
from pydantic import ValidationError

from propusk.setting_redis import Credentials, RedisServer, parse_redis_url
from propusk.settings import Settings, describe_faults

SECRET = "zq7canary"


@pytest.mark.parametrize(
    ("text", "server", "masked"),
    [
        ("redis://cache", RedisServer("one", False, (("cache", 6379),)), "redis://cache:6379/0"),
        ("redis://cache/", RedisServer("one", False, (("cache", 6379),)), "redis://cache:6379/0"),
        (
            f"rediss://ada:{SECRET}%40%2f@cache.example:6380/3",
            RedisServer("one", True, (("cache.example", 6380),), Credentials("ada", f"{SECRET}@/"), db=3),
            "rediss://ada:********@cache.example:6380/3",
        ),
        (
            f"redis://:{SECRET}@[::1]:7000/0",
            RedisServer("one", False, (("::1", 7000),), Credentials(None, SECRET)),
            "redis://:********@[::1]:7000/0",
        ),
        (
            "redis+sentinel://one,two:26380/main",
            RedisServer("sentinel", False, (("one", 26379), ("two", 26380)), service="main"),
            "redis+sentinel://one:26379,two:26380/main/0",
        ),
        (
            f"rediss+sentinel://:{SECRET}1@one/main/2?sentinel_username=eve&sentinel_password={SECRET}2",
            RedisServer(
                "sentinel",
                True,
                (("one", 26379),),
                Credentials(None, f"{SECRET}1"),
                "main",
                2,
                Credentials("eve", f"{SECRET}2"),
            ),
            "rediss+sentinel://:********@one:26379/main/2?sentinel_username=eve&sentinel_password=********",
        ),
        (
            "redis+cluster://10.0.0.1:7000,10.0.0.2",
            RedisServer("cluster", False, (("10.0.0.1", 7000), ("10.0.0.2", 6379))),
            "redis+cluster://10.0.0.1:7000,10.0.0.2:6379",
        ),
    ],
)
def test_every_form_is_read_and_shown_without_its_passwords(text: str, server: RedisServer, masked: str) -> None:
    assert parse_redis_url(text) == server
    assert server.masked() == masked
    assert SECRET not in repr(server)


@pytest.mark.parametrize(
    "text",
    [
        f"{SECRET}",
        f"http://{SECRET}",
        f"redis:{SECRET}",
        f"redis+://{SECRET}",
        f"redis+tls://{SECRET}",
        f"unix:///{SECRET}",
        "redis://",
        f"redis://:{SECRET}@",
        f"redis://{SECRET}@host",
        f"redis://{SECRET}:@host",
        f"redis://a:{SECRET}@ho st",
        f"redis://a:{SECRET}@[::1",
        f"redis://a:{SECRET}%ff@host",
        f"redis://a:{SECRET}%0a@host",
        f"redis://a:{SECRET}@host:0",
        f"redis://a:{SECRET}@host:65536",
        f"redis://a:{SECRET}@host:port",
        f"redis://a:{SECRET}@one,two",
        f"redis://a:{SECRET}@host/name",
        f"redis://a:{SECRET}@host/0?ssl_cert_reqs=none",
        f"redis://a:{SECRET}@host/0#x",
        f"redis+sentinel://a:{SECRET}@host",
        f"redis+sentinel://a:{SECRET}@host/main?sentinel_username=x",
        f"redis+sentinel://a:{SECRET}@host/main?sentinel_password={SECRET}&sentinel_password={SECRET}",
        f"redis+sentinel://a:{SECRET}@host/main?db=1",
        f"redis+cluster://a:{SECRET}@host/1",
        f"redis+cluster://a:{SECRET}@one,,two",
        f"redis+cluster://a:{SECRET}@one?sentinel_password={SECRET}",
    ],
)
def test_what_cannot_be_read_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Settings.model_validate({"redis_url": text})

    told = describe_faults(refusal.value)
    assert told.startswith("redis_url: ")
    assert SECRET not in told and SECRET not in str(refusal.value)
