"""Connections to a Redis, however it is found: over one address, over sentinels, over the nodes of a cluster."""

from typing import Any

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from propusk.setting_redis import Credentials, RedisServer


def open_client(server: RedisServer, *, timeout: float) -> tuple[Redis | RedisCluster, list[Redis]]:
    """A client that connects when it is first used.

    Nothing is tried twice: what got no answer may have been counted, and there is the database.

    Args:
        timeout: seconds that connecting may take, and an answer.
    Returns:
        the client, and those of sentinels: all of them are to be closed.
    """
    options = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "protocol": 2,
        **_tls(server),
    }
    match server.form:
        case "one":
            host, port = server.hosts[0]
            return Redis(host=host, port=port, db=server.db, retry=_never(), **_who(server.credentials), **options), []
        case "cluster":
            nodes = [ClusterNode(host, port) for host, port in server.hosts]
            # By itself redis-py closes every connection after five redirections, whoever waits for an answer there. All
            # our keys are in one slot: one redirection says all there is to know.
            options |= {"reinitialize_steps": 0, **_who(server.credentials)}
            return RedisCluster(startup_nodes=nodes, retry=_never(), **options), []
        case _:
            return _over_sentinels(server, options)


def _over_sentinels(server: RedisServer, options: dict[str, Any]) -> tuple[Redis, list[Redis]]:
    asking = {**options, "retry": _never(), **_who(server.sentinels)}
    make: Any = Sentinel  # not typed
    sentinel = make(server.hosts, sentinel_kwargs=asking)
    client = sentinel.master_for(server.service, db=server.db, retry=_never(), **_who(server.credentials), **options)
    return client, list(sentinel.sentinels)


def _never() -> Retry:
    return Retry(NoBackoff(), 0)


def _who(credentials: Credentials) -> dict[str, Any]:
    return {"username": credentials.username, "password": credentials.password}


def _tls(server: RedisServer) -> dict[str, Any]:
    """Certificates are checked against those that the system trusts, or what SSL_CERT_FILE names."""
    return {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True} if server.tls else {}
