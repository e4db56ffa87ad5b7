"""Thread pools that start all of their threads at once: the first sessions pay for none, and none is added later."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor


def full_pool(size: int, name: str) -> ThreadPoolExecutor:
    """A pool whose `size` threads are running when it is returned."""
    pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix=name)
    together = threading.Barrier(size + 1)
    for _ in range(size):
        pool.submit(together.wait)
    together.wait()
    return pool
