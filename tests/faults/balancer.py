"""HAProxy before several nodes, which it asks for `/readyz`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.faults.programs import needed, running
from tests.process.service import free_port

CONFIG = """
defaults
    mode http
    balance roundrobin
    timeout connect 1s
    timeout client 30s
    timeout server 15s
    timeout check 2s
    retries 3
    option redispatch

frontend front
    bind 127.0.0.1:{port}
    http-request del-header Forwarded
    http-request set-header X-Forwarded-For %[src]
    default_backend nodes

backend nodes
    option httpchk GET /readyz
    default-server check inter 500ms fall 2 rise 1
{servers}
"""
CHECKED = 1.5
"""Seconds within which it knows that a node's readiness has changed."""


@contextmanager
def balancer(ports: Sequence[int], folder: Path) -> Iterator[int]:
    """The port at which requests go to the nodes at `ports` in turn."""
    port = free_port()
    servers = "\n".join(f"    server node{n} 127.0.0.1:{node}" for n, node in enumerate(ports))
    config = folder / "haproxy.cfg"
    config.write_text(CONFIG.format(port=port, servers=servers))

    def is_ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    with running([needed("haproxy", "haproxy"), "-db", "-f", str(config)], folder / "haproxy.log", is_ready):
        yield port
