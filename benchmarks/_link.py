"""A network link in user space: two namespaces, a TUN device in each, and this process between them.

Kernels offer rate caps (`tc tbf`) and loss (`iptables -m statistic`) more often than delay and reordering (`netem`);
here all four are made in one place, seeded, the same on every kernel, and can change while traffic flows.

    python -m benchmarks._link LEFT RIGHT      takes changes on standard input, one JSON object a line, and prints
                                               what has got through on standard output, one line every 100 ms
"""

from __future__ import annotations

import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

LEFT_IP, RIGHT_IP = "10.77.0.1", "10.77.0.2"
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_REPORT_S = 0.1


class Pipe:
    """One direction. Pure: time is handed in."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.loss = 0.0
        """Share of packets that vanish."""
        self.delay = 0.0
        """Seconds."""
        self.rate: float | None = None
        """Bit/s, IP headers included; None: no cap. 0: nothing gets through."""
        self.queue_s = 0.3
        """What waits for the cap, at most, in seconds of it; beyond, the newest is dropped."""
        self.reorder = 0.0
        """Share of packets that take 25 ms longer than the others."""
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._free = 0.0
        self._flying: list[tuple[float, int, bytes]] = []
        self._count = 0

    def offer(self, packet: bytes, now: float) -> None:
        if self._random.random() < self.loss or self.rate == 0:
            return
        if self.rate is None:
            self._fly(packet, now)
            return
        if (self._bytes + len(packet)) * 8 > self.queue_s * self.rate:
            return
        if not self._queue:
            self._free = max(self._free, now) + len(packet) * 8 / self.rate
        self._queue.append(packet)
        self._bytes += len(packet)

    def _fly(self, packet: bytes, now: float) -> None:
        late = 0.025 if self._random.random() < self.reorder else 0.0
        self._count += 1
        heapq.heappush(self._flying, (now + self.delay + late, self._count, packet))

    def due(self, now: float) -> list[bytes]:
        """What arrives now."""
        while self._queue and (self._free <= now or not self.rate):
            packet = self._queue.popleft()
            self._bytes -= len(packet)
            if self.rate != 0:
                self._fly(packet, self._free if self.rate else now)
            if self._queue and self.rate:
                self._free += len(self._queue[0]) * 8 / self.rate
        arrived = []
        while self._flying and self._flying[0][0] <= now:
            arrived.append(heapq.heappop(self._flying)[2])
        return arrived

    def next(self) -> float | None:
        """When something happens again."""
        moments = [self._free] if self._queue else []
        moments += [self._flying[0][0]] if self._flying else []
        return min(moments, default=None)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def namespaces(left: str, right: str) -> Iterator[tuple[int, int]]:
    """Two network namespaces with an `eth0` each; the file descriptors of their far ends. Needs to be root."""
    made: list[str] = []
    files: list[int] = []
    try:
        for name, address in ((left, LEFT_IP), (right, RIGHT_IP)):
            _ip("netns", "add", name)
            made.append(name)
            file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            files.append(file)
            device = f"link{os.getpid() % 100000}{'lr'[len(files) - 1]}"
            fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22s", device.encode(), _IFF_TUN | _IFF_NO_PI, b""))
            _ip("link", "set", device, "netns", name, "name", "eth0")
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "mtu", "1500", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield files[0], files[1]
    finally:
        for file in files:
            os.close(file)
        for name in made:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def carry(left: int, right: int) -> None:
    """Moves packets until standard input ends."""
    ways = {left: (Pipe(1), right), right: (Pipe(2), left)}
    forth, back = ways[left][0], ways[right][0]
    counted, since = 0, time.monotonic()
    unread = b""
    while True:
        now = time.monotonic()
        moments = [m for pipe, _ in ways.values() if (m := pipe.next()) is not None]
        pause = max(0.0, min([*moments, since + _REPORT_S]) - now)
        ready, _, _ = select.select([left, right, 0], [], [], pause)
        now = time.monotonic()
        if 0 in ready:
            told = os.read(0, 65536)  # not a buffered file: `select` would not see what it has read ahead
            if not told:
                return
            *lines, unread = (unread + told).split(b"\n")
            for line in lines:
                change = json.loads(line)
                for pipe, name in ((forth, "forth"), (back, "back")):
                    for key, value in change.get(name, {}).items():
                        setattr(pipe, key, value)
        for file in (left, right):
            if file in ready:
                while packet := _read(file):
                    ways[file][0].offer(packet, now)
        for pipe, out in ways.values():
            for packet in pipe.due(now):
                os.write(out, packet)
                counted += len(packet) if out == right else 0
        if now - since >= _REPORT_S:
            print(json.dumps({"at": now, "bytes": counted}), flush=True)
            counted, since = 0, now


def _read(file: int) -> bytes:
    try:
        return os.read(file, 2048)
    except BlockingIOError:
        return b""


if __name__ == "__main__":
    with namespaces(sys.argv[1], sys.argv[2]) as (one, other):
        print(json.dumps({"ready": True}), flush=True)
        carry(one, other)
