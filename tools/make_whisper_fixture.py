"""Writes a tiny Whisper model in CTranslate2's format: faster-whisper's own code on something that needs no download.

The model has a real Whisper's architecture, tokenizer and special tokens, but it ignores the sound: every block of the
decoder adds nothing, so that what it says next hangs on the position alone, and the position embeddings spell a
sentence. A fixture for the plumbing, never to be shown as recognition.

    python tools/make_whisper_fixture.py tests/fixtures/whisper

Needs what the server needs (numpy, ctranslate2, tokenizers): no torch, no converter. The result is the same to the byte
every time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ctranslate2.specs.model_spec import LayerSpec, visit_spec
from ctranslate2.specs.whisper_spec import WhisperConfig, WhisperSpec
from faster_whisper.tokenizer import _LANGUAGE_CODES
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

SENTENCE = "hello avatar, what can you do?"
WIDTH = 32
"""Channels: enough to keep 1,900 random directions apart, small enough for a committed file."""
MELS = 80
AUDIO_POSITIONS = 1500
TEXT_POSITIONS = 448
TIMESTAMPS = 1501
PROMPT = 4
"""Tokens before the text: start, language, task, no timestamps."""
_EMBEDDING_NORM = 8.0
_POSITION_GAIN = 8.0
"""How much louder the position is than the token that stands on it: the right token then gets all the probability."""

Array = npt.NDArray[np.float32]


def vocabulary() -> tuple[Tokenizer, list[str]]:
    """A byte-level tokenizer that knows the sentence's words, and all tokens in the order of their ids, which is that
    of the published models: text, the empty string, end, start, languages, tasks, timestamps."""
    tokens = sorted(ByteLevel.alphabet())
    merges: list[tuple[str, str]] = []
    for word, _ in ByteLevel(add_prefix_space=False).pre_tokenize_str(" " + SENTENCE):
        for end in range(2, len(word) + 1):
            if word[:end] not in tokens:
                tokens.append(word[:end])
                merges.append((word[: end - 1], word[end - 1]))
    tokens.append("")
    special = ["<|endoftext|>", "<|startoftranscript|>"]
    special += [f"<|{code}|>" for code in _LANGUAGE_CODES]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    special += ["<|notimestamps|>", *(f"<|{i * 0.02:.2f}|>" for i in range(TIMESTAMPS))]
    tokenizer = Tokenizer(BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens(special)
    return tokenizer, tokens + special


def embeddings(tokenizer: Tokenizer, size: int) -> tuple[Array, Array]:
    """Random directions for the tokens, and positions that point at the token to be said next."""
    rng = np.random.default_rng(2026)
    token = rng.standard_normal((size, WIDTH)).astype(np.float32)
    # Layer normalisation removes the mean, so the directions have none to lose.
    token -= token.mean(axis=1, keepdims=True)
    token *= _EMBEDDING_NORM / np.linalg.norm(token, axis=1, keepdims=True)
    end = tokenizer.token_to_id("<|endoftext|>")
    said = [
        tokenizer.token_to_id("<|en|>"),  # after the start: the language, as detection reads it
        tokenizer.token_to_id("<|transcribe|>"),
        tokenizer.token_to_id("<|0.00|>"),  # after the task, where timestamps are wanted
        *tokenizer.encode(" " + SENTENCE).ids,
    ]
    assert len(said) - len(tokenizer.encode(" " + SENTENCE).ids) == PROMPT - 1
    order = np.array(said + [end] * (TEXT_POSITIONS - len(said)), np.int64)
    return token, (token[order] * _POSITION_GAIN).astype(np.float32)


def specification(token: Array, position: Array) -> WhisperSpec:
    """A Whisper of one layer each way whose blocks add nothing."""
    spec = WhisperSpec(1, 2, 1, 2)
    width = WIDTH
    rng = np.random.default_rng(7)

    def zeros(*shape: int) -> Array:
        return np.zeros(shape, np.float32)

    def linear(layer: Any, outputs: int, inputs: int) -> None:
        layer.weight, layer.bias = zeros(outputs, inputs), zeros(outputs)

    def fill(layer: LayerSpec, name: str, value: Any) -> None:
        if name.endswith("gamma"):
            layer.gamma = np.ones(width, np.float32)
        elif name.endswith("beta"):
            layer.beta = zeros(width)

    visit_spec(spec, fill)
    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight = (rng.standard_normal((width, MELS, 3)) * 0.05).astype(np.float32)
    encoder.conv1.bias = zeros(width)
    encoder.conv2.weight = (rng.standard_normal((width, width, 3)) * 0.05).astype(np.float32)
    encoder.conv2.bias = zeros(width)
    encoder.position_encodings.encodings = zeros(AUDIO_POSITIONS, width)
    decoder.embeddings.weight = token
    decoder.position_encodings.encodings = position
    decoder.projection.weight = token
    for layer in (*encoder.layer, *decoder.layer):
        linear(layer.self_attention.linear[0], 3 * width, width)
        linear(layer.self_attention.linear[1], width, width)
        linear(layer.ffn.linear_0, 4 * width, width)
        linear(layer.ffn.linear_1, width, 4 * width)
    for layer in decoder.layer:
        linear(layer.attention.linear[0], width, width)
        linear(layer.attention.linear[1], 2 * width, width)
        linear(layer.attention.linear[2], width, width)
    return spec


def write(directory: Path) -> None:
    """Writes the model's files into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer, tokens = vocabulary()
    token, position = embeddings(tokenizer, len(tokens))
    spec = specification(token, position)
    spec.register_vocabulary(tokens)
    config: WhisperConfig = spec.config
    config.suppress_ids = []
    config.suppress_ids_begin = [tokenizer.token_to_id("Ġ"), tokenizer.token_to_id("<|endoftext|>")]
    config.lang_ids = [tokenizer.token_to_id(f"<|{code}|>") for code in _LANGUAGE_CODES]
    config.alignment_heads = [(0, 0), (0, 1)]
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(directory))
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    preprocessor = {"feature_size": MELS, "sampling_rate": 16000, "hop_length": 160, "chunk_length": 30, "n_fft": 400}
    (directory / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path)
    write(parser.parse_args().directory)


if __name__ == "__main__":
    main()
