"""A far network: a namespace of its own behind a line that is slow, or loses packets.

What `tc netem` does, for kernels that are built without it: two tunnel devices, and a thread that carries packets from
one to the other. TCP sees the real thing, and repeats what is lost.
"""

import asyncio
import ctypes
import fcntl
import os
import random
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.programs import needed

HERE, THERE = "10.77.0.1", "10.77.0.2"
_SPACE = "propusk-far"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000
_LARGEST = 2048


class Network:
    """The line between `HERE` and `THERE`. `delay` seconds one way; `loss` of 1 is all packets."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.loss = 0.0
        self.inside = (needed("ip", "iproute2"), "netns", "exec", _SPACE)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._carry, name="propusk-network", daemon=True)
        self._is_up = threading.Event()

    @contextmanager
    def worse(self, *, delay: float = 0.0, loss: float = 0.0) -> Iterator[None]:
        """Slow, or lossy, for a while."""
        self.delay, self.loss = delay, loss
        yield
        self.delay, self.loss = 0.0, 0.0

    def start(self) -> None:
        """Until packets go through."""
        self._thread.start()
        assert self._is_up.wait(10), "the network does not come up"
        _ip("addr", "add", f"{HERE}/30", "dev", "propusk0")
        _ip("link", "set", "propusk0", "up")
        _ip("-n", _SPACE, "addr", "add", f"{THERE}/30", "dev", "propusk1")
        for device in ("lo", "propusk1"):
            _ip("-n", _SPACE, "link", "set", device, "up")

    def stop(self) -> None:
        """The devices go with the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _carry(self) -> None:
        here = _tunnel("propusk0")
        # This thread alone moves: what it opens from now on is there.
        with Path("/run/netns", _SPACE).open() as space:
            moved = ctypes.CDLL(None, use_errno=True).setns(space.fileno(), _CLONE_NEWNET)
        assert moved == 0, os.strerror(ctypes.get_errno())
        there = _tunnel("propusk1")
        for end, other in ((here, there), (there, here)):
            self._loop.add_reader(end, self._pass, end, other)
        self._is_up.set()
        self._loop.run_forever()
        for end in (here, there):
            self._loop.remove_reader(end)
            os.close(end)
        self._loop.close()

    def _pass(self, end: int, other: int) -> None:
        packet = os.read(end, _LARGEST)
        if random.random() >= self.loss:
            self._loop.call_later(self.delay, _send, other, packet)


def _tunnel(name: str) -> int:
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return end


def _send(end: int, packet: bytes) -> None:
    with suppress(OSError):  # a device that is down loses it
        os.write(end, packet)


def _ip(*arguments: str) -> None:
    subprocess.run([needed("ip", "iproute2"), *arguments], check=True)


@contextmanager
def network() -> Iterator[Network]:
    """A network with nothing wrong yet."""
    if os.geteuid() != 0:
        raise SystemExit("a network of its own takes root")
    _ip("netns", "add", _SPACE)
    try:
        made = Network()
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        _ip("netns", "del", _SPACE)
