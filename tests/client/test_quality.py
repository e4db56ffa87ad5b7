"""What the command-line client tells the server's monitor."""

from __future__ import annotations

import numpy as np

from avatar.quality import Monitor, client_digest
from client.media import Media
from client.quality import Reading, digest


def stream(received: int, lost: int, size: int) -> dict[str, float]:
    return {"packets_received": received, "packets_lost": lost, "bytes_received": size, "jitter_ms": 7.0}


def test_rates_are_over_the_time_since_the_digest_before() -> None:
    media = Media()
    for n in range(50):
        media.picture(np.zeros((96, 64), np.uint8), n * 0.04, 10 + n * 0.04)
        media.voice(np.zeros(960, np.int16), n * 0.02, 10 + n * 0.02, missing=n == 3)
    media.picture(np.zeros((96, 64), np.uint8), 2.5, 12.5)
    first = Reading(10.0, stream(100, 0, 1000) | {"frames": 5, "nack": 1, "pli": 0}, stream(100, 0, 500))
    later = Reading(12.0, stream(190, 10, 101_000) | {"frames": 55, "nack": 4, "pli": 1}, stream(200, 0, 8500))
    young = digest(first, None, media)
    assert young["video"]["kbps"] is None
    seen = digest(later, first, media)
    assert (seen["video"]["kbps"], seen["video"]["fps"], seen["video"]["loss"]) == (400, 25, 0.1)
    assert (seen["audio"]["kbps"], seen["audio"]["loss"], seen["audio"]["variation_ms"]) == (32, 0, 7)
    assert (seen["video"]["frames"], seen["video"]["freezes"]) == (51, 1)
    assert abs(seen["video"]["frozen_s"] - 0.54) < 0.01
    assert (seen["audio"]["concealed"], seen["audio"]["played"]) == (960, 48_000)
    monitor = Monitor()
    monitor.report(client_digest(seen))  # the server takes it as it is
    monitor.sample(2.0, {})
    assert monitor.now()["now"]["client"]["kbps"] == 400
