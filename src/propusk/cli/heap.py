"""What the process asks of its C library."""

import ctypes

M_ARENA_MAX = -8
"""In glibc's malloc.h."""


def share_one_heap() -> None:
    """Let all threads take memory from one heap. glibc gives each its own, which keeps what was freed in it: for each
    thread that hashes the memory of a hash, 19 MiB by default, as long as the process lives.

    Without effect on other C libraries. To be called before there are threads.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
