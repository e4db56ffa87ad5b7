"""The sound in an HTTP answer, read as it arrives: raw PCM, a WAV file of any common kind, or a compressed file.

Pure: bytes in, samples out. Sources: RIFF/WAVE (Microsoft Multimedia Programming Interface 1.0) and OpenAI's `pcm`
(24 kHz, 16 bits, little endian, mono, no header).
"""

from __future__ import annotations

import io
import re
import struct

import av
import numpy as np

from .shape import Samples

PCM_RATE = 24_000
"""Hz of `response_format: pcm`, unless the content type says another."""
MAX_FILE = 32 << 20
"""Bytes of a compressed file, which is decoded as a whole: minutes of speech."""
_MAX_HEADER = 1 << 16
"""Bytes before a WAV file's sound: more is no header."""
_MPEG = (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9")
_COMPRESSED = (b"ID3", b"OggS", b"fLaC", b"\x1aE\xdf\xa3", *_MPEG)
"""How MP3, Ogg, FLAC, WebM and AAC files begin. Raw sound that begins so is ruled out by its content type only."""
_COMPRESSED_TYPES = ("mpeg", "mp3", "ogg", "opus", "flac", "aac", "webm", "mp4")
_WAVE_PCM, _WAVE_FLOAT, _WAVE_EXTENSIBLE = 1, 3, 0xFFFE
_UNKNOWN_LENGTHS = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFE)
"""What servers write into a header that they send before they know how long the sound will be."""


class NotSound(ValueError):
    """The answer holds no sound; the message says what it seems to be."""


class SoundReader:
    """One answer. `rate` is known once `feed` has returned samples."""

    def __init__(self, content_type: str = "") -> None:
        self._type = content_type.lower()
        self._head = b""
        self._kind = ""
        self._left: int | None = None  # bytes of sound still to come, where the file says
        self._float = False
        self._channels = 1
        self._rest = b""
        self._file = io.BytesIO()
        found = re.search(r"rate=(\d{4,6})", self._type)
        self.rate = int(found[1]) if found else PCM_RATE
        """Hz."""

    def feed(self, data: bytes) -> Samples:
        """The samples that `data` completes. Raises `NotSound`."""
        if not self._kind:
            self._head += data
            data = self._recognise()
        if self._kind == "file":
            if self._file.tell() + len(data) > MAX_FILE:
                raise NotSound("a file that is too long for a clause")
            self._file.write(data)
            return np.zeros(0, np.float32)
        return self._samples(data) if self._kind else np.zeros(0, np.float32)

    def finish(self) -> Samples:
        """The rest of it: all of it where the file was compressed. Raises `NotSound`."""
        if not self._kind and self._head:
            if self._head.startswith(b"RIFF"):
                raise NotSound("a WAV file without sound")
            self._kind = "pcm"
            return self._samples(self._head)
        if self._kind != "file":
            return np.zeros(0, np.float32)
        self._file.seek(0)
        return self._decode()

    @property
    def cut(self) -> bool:
        """The file announced more sound than it brought."""
        return bool(self._left)

    def _recognise(self) -> bytes:
        """Settles what the answer is; returns the sound that is there already."""
        head = self._head
        if len(head) < 12:
            return b""
        if head.startswith((b"RIFF", b"RIFX")) and head[8:12] == b"WAVE":
            return self._wav_header()
        if (
            head.startswith(_COMPRESSED)
            or head[4:8] == b"ftyp"
            or any(kind in self._type for kind in _COMPRESSED_TYPES)
        ):
            self._kind = "file"
        elif head.lstrip()[:1] in (b"{", b"<") and not self._type.startswith("audio/"):
            raise NotSound("a web page" if head.lstrip()[:1] == b"<" else "JSON")
        else:
            self._kind = "pcm"
        self._head = b""
        return head

    def _wav_header(self) -> bytes:
        at = 12
        head = self._head
        form: tuple[int, int, int, int] | None = None
        while at + 8 <= len(head):
            name, size = head[at : at + 4], struct.unpack_from("<I", head, at + 4)[0]
            if name == b"data":
                if form is None:
                    raise NotSound("a WAV file that does not say its format")
                self._begin_wav(form, size)
                self._head = b""
                return head[at + 8 :]
            if name == b"fmt " and at + 24 <= len(head):
                code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, at + 8)
                if code == _WAVE_EXTENSIBLE and at + 34 <= len(head):
                    (code,) = struct.unpack_from("<H", head, at + 32)
                form = (code, channels, rate, bits)
            at += 8 + size + size % 2
        if len(head) > _MAX_HEADER:
            raise NotSound("a WAV file without sound")
        return b""

    def _begin_wav(self, form: tuple[int, int, int, int], size: int) -> None:
        code, channels, rate, bits = form
        if (code, bits) not in ((_WAVE_PCM, 16), (_WAVE_FLOAT, 32)) or not 1 <= channels <= 8:
            raise NotSound(f"a WAV file of {bits} bits and {channels} channels, format {code}")
        if not 4_000 <= rate <= 192_000:
            raise NotSound(f"a WAV file at {rate} Hz")
        self._kind, self.rate, self._channels, self._float = "wav", rate, channels, code == _WAVE_FLOAT
        self._left = None if size in _UNKNOWN_LENGTHS else size

    def _samples(self, data: bytes) -> Samples:
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        data = self._rest + data
        width = (4 if self._float else 2) * self._channels
        whole = len(data) - len(data) % width
        self._rest = data[whole:]
        samples: Samples
        if self._float:
            samples = np.nan_to_num(np.frombuffer(data[:whole], "<f4")).clip(-1, 1).astype(np.float32)
        else:
            samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / np.float32(32768)
        if self._channels > 1:
            samples = np.asarray(samples.reshape(-1, self._channels).mean(axis=1), np.float32)
        return samples

    def _decode(self) -> Samples:
        pieces: list[Samples] = []
        try:
            with av.open(self._file, "r") as container:
                resampler: av.AudioResampler | None = None
                for frame in container.decode(audio=0):
                    if resampler is None:
                        self.rate = frame.sample_rate
                        resampler = av.AudioResampler(format="flt", layout="mono", rate=self.rate)
                    pieces += [made.to_ndarray().reshape(-1) for made in resampler.resample(frame)]
        except (av.FFmpegError, IndexError) as error:
            raise NotSound(f"a file that cannot be decoded ({error})") from None
        return np.concatenate(pieces).astype(np.float32) if pieces else np.zeros(0, np.float32)
