"""One loaded Whisper model: sound → text, and whether to believe it. Blocking; `whisper.py` gives it its threads."""

from __future__ import annotations

import logging
import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import NotReady
from ..types import Pcm, Transcript
from .hallucination import is_stock_phrase, is_wordless
from .resample import RATE

_DECODE_PER_ENCODE = 1.45
"""A whole utterance costs this much of one encoder pass (measured for tiny: 403 against 275 ms)."""
_PASSES = 3
_FOLLOW = 0.2
"""Share of each decode in the running estimate of its time: the load of a machine changes within a conversation."""


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """How an utterance is decoded."""

    beam_size: int = 1
    """1 is greedy: on a CPU wider beams cost more time than they bring words."""
    temperatures: tuple[float, ...] = (0.0, 0.4)
    """A second try, with chance in it, where the first fails the two thresholds below; more would take seconds."""
    log_prob_threshold: float = -1.0
    compression_ratio_threshold: float = 2.4
    no_speech_threshold: float = 0.6
    """These three are the values of Whisper's authors (arXiv 2212.04356, section 4.5)."""
    partial_every_s: float = 1.0
    """Sound between two partial decodes."""
    partial_budget_s: float = 0.5
    """No partials where one decode takes longer than this: they would eat the machine."""
    pause_s: float = 0.2
    """Silence after which the utterance is decoded on suspicion: longer than the gaps inside words."""
    pause_budget_s: float = 1.5
    """No such decode where it takes longer than this: most pauses inside a sentence would waste it."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What the model says of its own text."""

    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float


def believable(guard: Guard, options: WhisperOptions) -> bool:
    """Whether a piece of text was probably said, or made up over noise."""
    if is_wordless(guard.text) or is_stock_phrase(guard.text):
        return False
    if guard.compression_ratio > options.compression_ratio_threshold:
        return False  # a loop
    # Half the published threshold: the detector has found a voice, so mere doubt must not silence the user, but doubt
    # together with a text that the model itself thinks improbable may.
    return not (
        guard.avg_logprob < options.log_prob_threshold and guard.no_speech_prob > options.no_speech_threshold / 2
    )


class Model:
    """A loaded model. Its methods block; each may be called from two threads at once."""

    def __init__(self, directory: Path, device: str, options: WhisperOptions) -> None:
        """Raises `NotReady` where the directory holds no model that can be loaded."""
        from faster_whisper import WhisperModel

        logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it would note every utterance
        self.options = options if device == "cpu" else replace(options, beam_size=5)
        try:
            self._whisper: Any = WhisperModel(
                str(directory),
                device=device,
                compute_type="int8" if device == "cpu" else "auto",
                # Two cores bring 5–25 % over one, and the faces need them.
                cpu_threads=max(1, min(4, (os.cpu_count() or 2) // 2)),
                num_workers=2,  # an early decode must not hold up a final one
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise NotReady(
                f"The Whisper model in {directory} cannot be loaded ({error}). Remove it, so that it is fetched anew, "
                "or name another."
            ) from error
        self.languages = frozenset(self._whisper.supported_languages)
        self._seconds = 0.0
        self._tokenizers: dict[str, tuple[Any, list[int]]] = {}

    @property
    def seconds(self) -> float:
        """What an utterance takes here at present: measured when it was loaded, then by every decode."""
        return self._seconds

    def expect(self, seconds: float) -> None:
        """Takes a forecast instead of a measurement."""
        self._seconds = seconds

    def measure(self, goal_s: float = 0.0) -> float:
        """Seconds that an utterance takes here, by timing the encoder, whose work does not depend on the sound.

        A passing load must not decide: the best of three passes counts, and no more are made once `goal_s` is met."""
        features = np.zeros((1, self._whisper.feature_extractor.mel_filters.shape[0], 3000), np.float32)
        self._encode(features)  # the first pass allocates
        best = math.inf
        for _ in range(_PASSES):
            began = time.perf_counter()
            self._encode(features)
            best = min(best, (time.perf_counter() - began) * _DECODE_PER_ENCODE)
            if best <= goal_s:
                break
        self._seconds = best
        return best

    def _encode(self, features: npt.NDArray[np.float32]) -> None:
        from ctranslate2 import StorageView

        self._whisper.model.encode(StorageView.from_array(features), to_cpu=True)

    def _tokenizer(self, language: str) -> tuple[Any, list[int]]:
        """The tokenizer and the tokens that are no speech."""
        if language in self._tokenizers:
            return self._tokenizers[language]
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        tokenizer = Tokenizer(
            self._whisper.hf_tokenizer, self._whisper.model.is_multilingual, task="transcribe", language=language
        )
        self._tokenizers[language] = tokenizer, list(get_suppressed_tokens(tokenizer, [-1]))
        return self._tokenizers[language]

    def decode(self, pcm: Pcm, language: str) -> Transcript:
        """The text of at most 30 s of sound at 16 kHz; `language` is one that the model knows, or "auto"."""
        from faster_whisper.audio import pad_or_trim
        from faster_whisper.transcribe import TranscriptionOptions

        began = time.perf_counter()
        whisper, options = self._whisper, self.options
        features = whisper.feature_extractor(pcm.astype(np.float32) / 32768.0)
        # The pieces of `WhisperModel.transcribe`, so that finding the language does not cost a second encoder pass.
        encoded = whisper.encode(pad_or_trim(features[..., :-1]))
        if language == "auto":
            multilingual = whisper.model.is_multilingual
            language = whisper.model.detect_language(encoded)[0][0][0][2:-2] if multilingual else "en"
        tokenizer, suppressed = self._tokenizer(language)
        segments = whisper.generate_segments(
            features,
            tokenizer,
            TranscriptionOptions(
                beam_size=options.beam_size,
                best_of=1,
                patience=1,
                length_penalty=1,
                repetition_penalty=1,
                no_repeat_ngram_size=0,
                log_prob_threshold=options.log_prob_threshold,
                no_speech_threshold=options.no_speech_threshold,
                compression_ratio_threshold=options.compression_ratio_threshold,
                condition_on_previous_text=False,
                prompt_reset_on_temperature=0.5,
                temperatures=list(options.temperatures),
                initial_prompt=None,
                prefix=None,
                suppress_blank=True,
                suppress_tokens=suppressed,
                without_timestamps=True,
                max_initial_timestamp=1.0,
                word_timestamps=False,
                prepend_punctuations="",
                append_punctuations="",
                multilingual=False,
                max_new_tokens=_most_tokens(len(pcm)),
                clip_timestamps="0",
                hallucination_silence_threshold=None,
                hotwords=None,
            ),
            False,
            encoded,
        )
        said = [
            s.text
            for s in segments
            if believable(Guard(s.text, s.avg_logprob, s.no_speech_prob, s.compression_ratio), options)
        ]
        self._seconds += _FOLLOW * (time.perf_counter() - began - self._seconds)
        text = "".join(said).strip()
        return Transcript(text, language if text else "")


def _most_tokens(length: int) -> int:
    """Tokens that this many samples of speech can hold: nobody says more than about 12 a second, and a model that loops
    must not do so for its whole 448."""
    return min(220, 16 + 12 * length // RATE)
