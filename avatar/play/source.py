"""The encoders of a session: each picture and each piece of sound is encoded once, for however many take it.

A peer's senders, those of people who watch, and a recording are takers of one source. Its rate follows the person in
the conversation; who only watches neither slows it down nor speeds it up while that person is there.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median_low

import numpy as np

from ..clock import AUDIO_RATE, VIDEO_RATE, VIDEO_TICKS, MediaClock
from ..threads import full_pool
from ..types import I420, Pcm
from .opus import LOOKAHEAD_SAMPLES, OpusEncoder, level_dbov
from .rate import START
from .takers import PictureTaker, Shot, Sound, SoundTaker
from .video import ENCODERS, Encoded, VideoEncoder

log = logging.getLogger(__name__)

BIAS_TICKS = round(LOOKAHEAD_SAMPLES * VIDEO_RATE / AUDIO_RATE)
"""Added to every video timestamp: decoded Opus sounds 6.5 ms after its timestamp, so the picture is dated likewise and
a recording made by timestamps is exact."""
HOLD_S = 0.03
"""A picture leaves this long after its slot. Browsers play sound some 20 to 40 ms behind their picture, because they
buffer sound for longer, and correct only what exceeds about 30 ms; holding the picture back centres the difference.
It also hides how long encoding took."""
MAX_LATE_S = 0.06
"""A picture that has waited longer for its turn is dropped: shown now, it would show lips of the past."""
KEY_PAUSE_S = 0.5
"""At most one key frame in this time: a burst of wishes on a bad network must not fill it with key frames."""
WATCHERS_KEY_PAUSE_S = 3.0
"""Somebody who only watches, on a path that is too thin, needs one key frame after the other. The person in the
conversation would pay for each of them."""
RATE_STEP = 0.03
"""Smaller changes of the rate are not worth a call."""
LOSS_TICKS = 25
"""Half a second: how often the sound's rate and protection are looked at."""
EXPECTED_SIZE = (512, 512)
"""The size of a portrait at the default scale, for which an encoder is opened before the first picture comes."""


@functools.cache
def workers() -> ThreadPoolExecutor:
    """The threads that encode pictures, shared by all sessions. Not the loop's own pool, which resolves names and reads
    files and may be busy with either."""
    return full_pool(max(2, os.cpu_count() or 1), "video-encode")


class PictureSource:
    """One encoder of one codec. The encoder lives while somebody has joined."""

    def __init__(self, clock: MediaClock, codec: str) -> None:
        self.codec = codec
        self.open_encoder = ENCODERS[codec]
        self._clock = clock
        self._takers: list[PictureTaker] = []
        self._encoder: VideoEncoder | None = None
        self._encoder_rate = 0
        self._idle = asyncio.Event()
        """An encoder takes one picture at a time, and is not freed meanwhile."""
        self._idle.set()
        self._done: tuple[int | None, int, int, Encoded | Exception | None] | None = None
        """What the worker has made: slot, pts, era, and the picture."""
        self._asked = False
        """It is wanted at once."""
        self._timer: asyncio.TimerHandle | None = None
        self._closing = 0
        self._era = 0
        """Grows when what is being encoded is not wanted any more."""
        self._waiting: tuple[int, I420] | None = None
        self._latest: I420 | None = None
        self._key_wanted = True
        self._key_wished = False
        """By somebody who only watches."""
        self.last_key = float("-inf")
        """Monotonic seconds at which the newest key frame was ready."""
        self._before = 0
        """Slot of the picture before."""
        self._left_out = 0
        """Ticks whose pictures were held back, or came too late. The encoder does not hear of them: the next picture
        would get all their bits, and fill the queue that they were left out for."""
        self.size: tuple[int, int] | None = None
        self.offered = self.encoded = self.key_frames = self.failures = 0
        self.dropped_waiting = self.dropped_late = self.dropped_encoder = self.dropped_paced = 0
        self._encode_s = 0.0

    # Those who take.

    def join(self, taker: PictureTaker) -> None:
        """From now on `taker` gets every encoded picture that it can take; it must be able to wait for a key frame."""
        self._takers.append(taker)

    async def leave(self, taker: PictureTaker) -> None:
        """Harmless twice. With the last one the encoder is freed."""
        if taker in self._takers:
            self._takers.remove(taker)
        if not self._takers:
            await self.close()

    async def close(self) -> None:
        self._takers.clear()
        self._waiting = None
        self._era += 1
        self._closing += 1
        self._collect()
        try:
            await self._idle.wait()
            self._release()
        finally:
            self._closing -= 1
        self._begin()  # for somebody who has joined since

    @property
    def used(self) -> bool:
        return bool(self._takers)

    @property
    def target(self) -> int:
        """bit/s. Of who leads the slowest; while nobody does, a usual one of those who watch."""
        takers = [t for t in self._takers if t.taking] or self._takers
        leading = [t.target for t in takers if t.leads and t.target is not None]
        watching = [t.target for t in takers if t.target is not None]
        return min(leading) if leading else median_low(watching) if watching else START

    def want_key(self, *, watches: bool = False) -> None:
        """Somebody cannot go on without a key frame: the next picture is one, unless one has just been. `watches`: it
        is one of those who only watch and have seen pictures before."""
        if watches:
            self._key_wished = True
        else:
            self._key_wanted = True

    # What is taken.

    def push(self, slot: int, i420: I420 | None) -> None:
        """The picture of a slot that is due now; None repeats the one before and sends nothing, unless somebody has
        asked for a key frame."""
        if i420 is not None:
            self._latest = i420
        elif self._key_due(time.monotonic()):
            i420 = self._latest
        if i420 is None or not self._takers:
            return
        self.offered += 1
        if self._waiting is not None:
            self.dropped_waiting += 1
            self._leave_out(self._waiting[0])
        self._waiting = (slot, i420)
        self._begin()

    async def prepare(self, size: tuple[int, int] = EXPECTED_SIZE) -> None:
        """Opens the encoder and has it encode one grey picture that is not sent: the first real one then takes a
        fraction of the time. Call before the connection is up."""
        width, height = size
        grey = np.full((height * 3 // 2, width), 128, np.uint8)
        while not self._idle.is_set():
            await self._idle.wait()
        if self._encoder is None and not self._closing:
            self._work(None, grey, 0, True, None)
            await self._idle.wait()
            self._encode_s = 0.0

    def _key_due(self, now: float) -> bool:
        pause = now - self.last_key
        return (self._key_wanted and pause >= KEY_PAUSE_S) or (self._key_wished and pause >= WATCHERS_KEY_PAUSE_S)

    def _begin(self) -> None:
        """Has the picture that waits encoded, unless one still is."""
        if self._waiting is None or not self._idle.is_set() or self._closing:
            return
        if not self._clock.running or not any(t.taking for t in self._takers):
            return
        (slot, i420), self._waiting = self._waiting, None
        now = time.monotonic()
        late = now - self._clock.due(slot) > MAX_LATE_S
        if late or self._held_back(now):
            self.dropped_late += late
            self.dropped_paced += not late
            self._leave_out(slot)
            return
        self._before = slot
        leaves = min(now, self._clock.due(slot)) + HOLD_S
        self._work(slot, i420, VIDEO_TICKS * slot + BIAS_TICKS, self._key_due(now), leaves)

    def _leave_out(self, slot: int) -> None:
        """The time since the picture before counts once, or the encoder's clock would go back."""
        self._left_out += VIDEO_TICKS * (slot - self._before)
        self._before = slot

    def _held_back(self, now: float) -> bool:
        """Nobody whose network sets the rate can take one more picture: it is left out before it is encoded."""
        leading = [taker for taker in self._takers if taker.taking and taker.leads]
        return bool(leading) and all(taker.blocked(now) for taker in leading)

    def _work(self, slot: int | None, i420: I420, pts: int, key: bool, wanted: float | None) -> None:
        """Encodes in a worker thread. What comes of it is collected at monotonic time `wanted`, when it is to leave, or
        as soon as it is there: a loop that is woken from its sleep, its caches cold, pays more for that than for what
        it then does."""
        self._idle.clear()
        self._done, self._asked = None, wanted is None
        loop, era, target = asyncio.get_running_loop(), self._era, self.target
        told = pts - self._left_out
        if wanted is not None:
            self._timer = loop.call_at(wanted, self._collect)

        def work() -> None:
            try:
                outcome: Encoded | Exception | None = self._encode(i420, told, key, target)
            except Exception as error:  # whatever a codec library throws: the next picture starts afresh
                outcome = error
            self._done = slot, pts, era, outcome
            if self._asked:  # read after `_done` is set, as `_collect` does it the other way round
                loop.call_soon_threadsafe(self._collect)

        workers().submit(work)

    def _collect(self) -> None:
        """What the worker has made; where it has not yet, it calls."""
        self._asked = True
        if self._done is None:
            return
        (slot, pts, era, outcome), self._done = self._done, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._idle.set()
        if isinstance(outcome, Exception):
            self._failed(outcome)
        elif slot is not None and era == self._era:
            self._hand_out(slot, pts, outcome)
        self._begin()

    def _hand_out(self, slot: int, pts: int, picture: Encoded | None) -> None:
        if picture is None:
            self.dropped_encoder += 1
            return
        self.encoded += 1
        if picture.key:
            self.key_frames += 1
            self._key_wanted = self._key_wished = False
            self.last_key = time.monotonic()
        self.size = (picture.width, picture.height)
        shot = Shot(slot, pts, picture)
        for taker in list(self._takers):
            if taker.taking:
                taker.take(shot)

    def _encode(self, i420: I420, pts: int, key: bool, target: int) -> Encoded | None:
        """In a worker thread."""
        began = time.perf_counter()
        if self._encoder is None:
            self._encoder = self.open_encoder(target)
            self._encoder_rate = target
        elif abs(target - self._encoder_rate) > RATE_STEP * self._encoder_rate:
            self._encoder.set_bitrate(target)
            self._encoder_rate = target
        picture = self._encoder.encode(i420, pts, key=key)
        self._encode_s += time.perf_counter() - began
        return picture

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if self.failures in (1, 10, 100) or self.failures % 1000 == 0:
            log.warning("A picture could not be encoded (failure %d): %s", self.failures, error)
        self._release()
        self._key_wanted = True

    def _release(self) -> None:
        """Frees the encoder. Not while it works."""
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None
            self._key_wanted = True

    def stats(self) -> dict[str, object]:
        """JSON-able."""
        return {
            "width": self.size[0] if self.size else None,
            "height": self.size[1] if self.size else None,
            "frames_offered": self.offered,
            "frames_encoded": self.encoded,
            "frames_dropped": self.dropped_waiting + self.dropped_late + self.dropped_encoder + self.dropped_paced,
            "dropped_waiting": self.dropped_waiting,
            "dropped_late": self.dropped_late,
            "dropped_by_encoder": self.dropped_encoder,
            "dropped_paced": self.dropped_paced,
            "encode_failures": self.failures,
            "key_frames": self.key_frames,
            "encode_total_ms": round(self._encode_s * 1000, 2),
            "encode_ms": round(self._encode_s * 1000 / self.encoded, 2) if self.encoded else None,
        }


class SoundSource:
    """The Opus encoder. Its rate, and the spare copies that packets carry on a lossy path, are paid with the quality of
    all of the sound: they follow the person in the conversation, and while nobody is there a usual one of those who
    watch."""

    def __init__(self) -> None:
        self._takers: list[SoundTaker] = []
        self._encoder: OpusEncoder | None = None

    def join(self, taker: SoundTaker) -> None:
        self._takers.append(taker)
        if self._encoder is None:
            self._encoder = OpusEncoder()

    def leave(self, taker: SoundTaker) -> None:
        """Harmless twice. With the last one the encoder is freed."""
        if taker in self._takers:
            self._takers.remove(taker)
        if not self._takers and self._encoder is not None:
            self._encoder.close()
            self._encoder = None

    def push(self, tick: int, pcm: Pcm) -> None:
        """960 samples that are due now. Encoded here and now: it takes a tenth of a millisecond."""
        taking = [taker for taker in self._takers if taker.taking]
        if self._encoder is None or not taking:
            return
        if tick % LOSS_TICKS == 0:
            heeded = [taker for taker in taking if taker.leads] or taking
            self._encoder.set_loss(median_low(taker.lossy for taker in heeded))
            self._encoder.set_bitrate(median_low(taker.target for taker in heeded))
            self._encoder.set_dtx(all(taker.dtx for taker in taking))
        data = self._encoder.encode(pcm)
        if not data:
            return  # nothing is said
        sound = Sound(tick, data, level_dbov(pcm))
        for taker in taking:
            taker.take(sound)


class Broadcast:
    """What a session shows and says, for everybody who takes it."""

    def __init__(self, clock: MediaClock) -> None:
        self.clock = clock
        self.sound = SoundSource()
        self._pictures: dict[str, PictureSource] = {}

    def pictures(self, codec: str) -> PictureSource:
        """The source of one codec, by the names of `codecs.VIDEO_CODECS`."""
        if codec not in self._pictures:
            self._pictures[codec] = PictureSource(self.clock, codec)
        return self._pictures[codec]

    @property
    def codecs(self) -> list[str]:
        """What is being encoded, in the order in which it began."""
        return [codec for codec, source in self._pictures.items() if source.used]

    def send_picture(self, slot: int, i420: I420 | None) -> None:
        """The picture of a slot that is due now; None: as before. Never blocks."""
        for source in self._pictures.values():
            source.push(slot, i420)

    def send_sound(self, tick: int, pcm: Pcm) -> None:
        """960 samples of 48 kHz sound that are due now. Never blocks."""
        self.sound.push(tick, pcm)
