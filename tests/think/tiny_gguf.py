"""A real language model of 0.4 MB with random weights, for the plumbing around one: it streams nonsense, quickly."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

DIM, LAYERS, HEADS, FEED_FORWARD = 64, 2, 4, 128
CONTEXT = 8192


def build(path: Path, *, seed: int = 1) -> Path:
    """Writes a two-layer Llama whose vocabulary is bytes and letters. The same seed makes the same file."""
    rng = np.random.default_rng(seed)
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    specials = ["<unk>", "<s>", "</s>"]
    byte_tokens = [f"<0x{i:02X}>" for i in range(256)]
    words = ["▁", *(f"▁{c}" for c in letters), *letters]
    tokens = [*specials, *byte_tokens, *words]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * len(byte_tokens) + [gguf.TokenType.NORMAL] * len(words)

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(DIM)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(DIM // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([t.encode() for t in tokens])
    writer.add_token_scores([-float(i) for i in range(len(tokens))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)

    def weights(name: str, rows: int, columns: int) -> None:
        writer.add_tensor(f"{name}.weight", (rng.standard_normal((rows, columns)) * 0.2).astype(np.float32))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(DIM, np.float32))

    # The tokens that would end a reply or are not text never win: a test decides how long a reply is.
    output = (rng.standard_normal((len(tokens), DIM)) * 0.2).astype(np.float32)
    output[: len(specials) + len(byte_tokens)] = 0
    weights("token_embd", len(tokens), DIM)
    writer.add_tensor("output.weight", output)
    norm("output_norm")
    for block in range(LAYERS):
        norm(f"blk.{block}.attn_norm")
        norm(f"blk.{block}.ffn_norm")
        for part in "qkv":
            weights(f"blk.{block}.attn_{part}", DIM, DIM)
        weights(f"blk.{block}.attn_output", DIM, DIM)
        weights(f"blk.{block}.ffn_gate", FEED_FORWARD, DIM)
        weights(f"blk.{block}.ffn_up", FEED_FORWARD, DIM)
        weights(f"blk.{block}.ffn_down", DIM, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
