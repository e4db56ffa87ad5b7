"""The latent motion diffusion model: 80 frames of noise and a voice become 80 frames of motion (specification §8.6).

The published network evaluates everything at every step of every clip, twice (with and without the condition). Here the
forward pass is split by what each part depends on:

    condition(cond)          a clip: encoded audio tokens, their keys and values in every layer, pooled vector
    unconditional()          the weights alone
    schedule(times)          the step alone: time tokens' keys and values, time vectors; unconditional modulation
    step(…)                  x_t: what is left

and both passes run as one batch. `forward` is the network as published, one call; the two agree to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .widths import FULL, MotionWidths

FRAMES = 80
MOTION = 265
CONDITION = 1103


class Rotary(nn.Module):
    """Rotates pairs of channels by position × frequency, over the whole vector and before the projections."""

    freqs: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        exponents = torch.arange(0, width, 2, dtype=torch.float32) / width
        self.register_buffer("freqs", 1.0 / 10000.0**exponents)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """x [..., n, width], whose first row is at position `start`."""
        positions = torch.arange(start, start + x.shape[-2], device=x.device, dtype=torch.float32)
        # float32 whatever the network's type: half precision loses the phase of late positions.
        angles = positions[:, None] * self.freqs.to(torch.float32)
        cos = angles.cos().to(x.dtype)
        sin = angles.sin().to(x.dtype)
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)


class Attention(nn.Module):
    """Multi-head attention with packed input projections; keys and values may be made ahead of queries."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        """[B, n, width] → [B, heads, n, width/heads]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def queries(self, q: Tensor) -> Tensor:
        width = q.shape[-1]
        return self.split(F.linear(q, self.in_proj_weight[:width], self.in_proj_bias[:width]))

    def keys_values(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        width = k.shape[-1]
        weight, bias = self.in_proj_weight, self.in_proj_bias
        keys = F.linear(k, weight[width : 2 * width], bias[width : 2 * width])
        return self.split(keys), self.split(F.linear(v, weight[2 * width :], bias[2 * width :]))

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(-2))
        return out

    def turned(self, x: Tensor, rotary: Rotary) -> Tensor:
        """Self-attention: queries and keys of the rotated input, values of the plain one."""
        rotated = rotary(x)
        width = x.shape[-1]
        qk = F.linear(rotated, self.in_proj_weight[: 2 * width], self.in_proj_bias[: 2 * width])
        v = F.linear(x, self.in_proj_weight[2 * width :], self.in_proj_bias[2 * width :])
        q, k = qk.chunk(2, dim=-1)
        return self.attend(self.split(q), self.split(k), self.split(v))


class EncoderLayer(nn.Module):
    """One layer of the condition encoder."""

    def __init__(self, w: MotionWidths) -> None:
        super().__init__()
        self.self_attn = Attention(w.model, w.heads)
        self.linear1 = nn.Linear(w.model, w.feed)
        self.linear2 = nn.Linear(w.feed, w.model)
        self.norm1 = nn.LayerNorm(w.model)
        self.norm2 = nn.LayerNorm(w.model)
        self.rotary = Rotary(w.model)

    def forward(self, y: Tensor) -> Tensor:
        y = y + self.self_attn.turned(self.norm1(y), self.rotary)
        out: Tensor = y + self.linear2(F.gelu(self.linear1(self.norm2(y))))
        return out


class Film(nn.Module):
    """Feature-wise modulation by the time vector: the (1 + a) and b of (1 + a)·y + b."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Mish(), nn.Linear(width, 2 * width))

    def forward(self, time: Tensor) -> Tensor:
        """time [B, width] → [B, 1, 2·width]."""
        out: Tensor = self.block(time).unsqueeze(1)
        return out


def modulate(y: Tensor, film: Tensor) -> Tensor:
    a, b = film.chunk(2, dim=-1)
    return y + y * a + b


class DecoderLayer(nn.Module):
    """One layer of the denoiser."""

    def __init__(self, w: MotionWidths) -> None:
        super().__init__()
        self.self_attn = Attention(w.model, w.heads)
        self.multihead_attn = Attention(w.model, w.heads)
        self.linear1 = nn.Linear(w.model, w.feed)
        self.linear2 = nn.Linear(w.feed, w.model)
        self.norm1 = nn.LayerNorm(w.model)
        self.norm2 = nn.LayerNorm(w.model)
        self.norm3 = nn.LayerNorm(w.model)
        self.film1 = Film(w.model)
        self.film2 = Film(w.model)
        self.film3 = Film(w.model)
        self.rotary = Rotary(w.model)

    def films(self, time: Tensor) -> Tensor:
        """[B, width] → the layer's three modulations, [B, 3, 1, 2·width]."""
        return torch.stack((self.film1(time), self.film2(time), self.film3(time)), dim=1)

    def memory(self, tokens: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Keys and values of condition tokens [B, n, width] at positions start …"""
        return self.multihead_attn.keys_values(self.rotary(tokens, start), tokens)

    def forward(self, x: Tensor, attended: Tensor, keys: Tensor, values: Tensor, films: Tensor) -> Tensor:
        """x [B, 80, width] after `attended`, its self-attention, which the caller may have had from elsewhere."""
        x = x + modulate(attended, films[:, 0])
        queries = self.multihead_attn.queries(self.rotary(self.norm2(x)))
        x = x + modulate(self.multihead_attn.attend(queries, keys, values), films[:, 1])
        return x + modulate(self.linear2(F.gelu(self.linear1(self.norm3(x)))), films[:, 2])

    def turned(self, x: Tensor) -> Tensor:
        return self.self_attn.turned(self.norm1(x), self.rotary)


class DecoderStack(nn.Module):
    def __init__(self, w: MotionWidths) -> None:
        super().__init__()
        self.stack = nn.ModuleList(DecoderLayer(w) for _ in range(w.layers))


@dataclass(frozen=True, slots=True)
class Memory:
    """What the denoiser attends to, without the time tokens. B is 1 for the unconditional one."""

    keys: Tensor
    """[layers, B, heads, 80, width/heads]"""
    values: Tensor
    hidden: Tensor
    """[B, width]: the pooled condition, or its learned stand-in."""

    def __getitem__(self, row: int) -> Memory:
        """One clip of a batch."""
        return Memory(self.keys[:, row : row + 1], self.values[:, row : row + 1], self.hidden[row : row + 1])

    @staticmethod
    def join(rows: list[Memory]) -> Memory:
        """Several clips as one batch."""
        keys = torch.cat([m.keys for m in rows], dim=1)
        values = torch.cat([m.values for m in rows], dim=1)
        return Memory(keys, values, torch.cat([m.hidden for m in rows]))


@dataclass(frozen=True, slots=True)
class Moment:
    """What a diffusion step brings, whatever the clip."""

    keys: Tensor
    """[layers, 1, heads, 2, width/heads]: the time tokens at positions 80 and 81."""
    values: Tensor
    time: Tensor
    """[1, width]; the pooled condition is added to it."""
    null_films: Tensor
    """[layers, 1, 3, 1, 2·width]: the unconditional pass's modulations."""


class Lmdm(nn.Module):
    """`MotionDecoder`: predicts x_0 from x_t."""

    def __init__(self, w: MotionWidths = FULL.motion) -> None:
        super().__init__()
        d = w.model
        self.widths = w
        self.null_cond_embed = nn.Parameter(torch.empty(1, FRAMES, d))
        self.null_cond_hidden = nn.Parameter(torch.empty(1, d))
        self.rotary = Rotary(d)
        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(d, 4 * d), nn.Mish())
        self.to_time_cond = nn.Sequential(nn.Linear(4 * d, d))
        self.to_time_tokens = nn.Sequential(nn.Linear(4 * d, 2 * d), nn.Unflatten(-1, (2, d)))
        self.norm_cond = nn.LayerNorm(d)
        self.input_projection = nn.Linear(2 * MOTION, d)
        self.cond_encoder = nn.Sequential(*(EncoderLayer(w) for _ in range(2)))
        self.cond_projection = nn.Linear(CONDITION, d)
        self.non_attn_cond_projection = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.SiLU(), nn.Linear(d, d))
        self.seqTransDecoder = DecoderStack(w)
        self.final_layer = nn.Linear(d, MOTION)

    def layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.seqTransDecoder.stack if isinstance(layer, DecoderLayer)]

    # ---- as published ------------------------------------------------------------------------------------------------

    def forward(
        self, x: Tensor, cond_frame: Tensor, cond: Tensor, times: Tensor, unconditional: bool = False
    ) -> Tensor:
        """One pass. x [B,80,265], cond_frame [B,265], cond [B,80,1103], times [B] int64 → x̂_0 [B,80,265]."""
        frames = cond_frame.unsqueeze(1).expand(-1, x.shape[1], -1)
        h = self.input_projection(torch.cat((x, frames), dim=-1))
        tokens = self.cond_encoder(self.cond_projection(cond))
        if unconditional:
            tokens = self.null_cond_embed.expand_as(tokens)
        hidden = self.non_attn_cond_projection(tokens.mean(dim=1))
        if unconditional:
            hidden = self.null_cond_hidden.expand_as(hidden)
        embedded = self.time_mlp(self.sinusoid(times))
        time = self.to_time_cond(embedded) + hidden
        memory = self.norm_cond(torch.cat((tokens, self.to_time_tokens(embedded)), dim=1))
        for layer in self.layers():
            keys, values = layer.memory(memory, 0)
            h = layer(h, layer.turned(h), keys, values, layer.films(time))
        out: Tensor = self.final_layer(h)
        return out

    def guided(self, x: Tensor, cond_frame: Tensor, cond: Tensor, times: Tensor) -> Tensor:
        """Both passes, u + 2·(c − u), as published."""
        conditional = self(x, cond_frame, cond, times)
        unconditional = self(x, cond_frame, cond, times, unconditional=True)
        return unconditional + 2 * (conditional - unconditional)

    def sinusoid(self, times: Tensor) -> Tensor:
        """[B] → [B, width]: sines, then cosines, of the step number."""
        half = self.widths.model // 2
        scale = math.log(10000) / (half - 1)
        frequencies = torch.exp(torch.arange(half, device=times.device, dtype=torch.float32) * -scale)
        angles = times.to(torch.float32)[:, None] * frequencies
        return torch.cat((angles.sin(), angles.cos()), dim=-1).to(self.null_cond_hidden.dtype)

    # ---- split by what it depends on ---------------------------------------------------------------------------------

    def condition(self, cond: Tensor) -> Memory:
        """Once a clip. cond [B,80,1103]."""
        tokens = self.cond_encoder(self.cond_projection(cond))
        return self._memory(tokens, self.non_attn_cond_projection(tokens.mean(dim=1)))

    def unconditional(self) -> Memory:
        """Once a network."""
        return self._memory(self.null_cond_embed, self.null_cond_hidden)

    def _memory(self, tokens: Tensor, hidden: Tensor) -> Memory:
        normal = self.norm_cond(tokens)
        pairs = [layer.memory(normal, 0) for layer in self.layers()]
        return Memory(torch.stack([k for k, _ in pairs]), torch.stack([v for _, v in pairs]), hidden)

    def schedule(self, times: Tensor) -> list[Moment]:
        """Once a number of steps: one `Moment` for each of times [S] int64."""
        embedded = self.time_mlp(self.sinusoid(times))
        vectors = self.to_time_cond(embedded)
        tokens = self.norm_cond(self.to_time_tokens(embedded))
        pairs = [layer.memory(tokens, FRAMES) for layer in self.layers()]
        keys, values = torch.stack([k for k, _ in pairs]), torch.stack([v for _, v in pairs])
        null = vectors + self.null_cond_hidden
        films = torch.stack([layer.films(null) for layer in self.layers()])
        return [
            Moment(keys[:, i : i + 1], values[:, i : i + 1], vectors[i : i + 1], films[:, i : i + 1])
            for i in range(len(times))
        ]

    def frame(self, cond_frame: Tensor) -> Tensor:
        """Once a clip: the part of the input projection that the frame before the clip [B,265] makes, [B,1,width]."""
        weight, bias = self.input_projection.weight, self.input_projection.bias
        return F.linear(cond_frame, weight[:, MOTION:], bias).unsqueeze(1)

    def step(self, x: Tensor, frame: Tensor, memory: Memory, null: Memory, moment: Moment) -> Tensor:
        """Guided x̂_0 [B,80,265] of x_t [B,80,265]: the whole work of one diffusion step.

        `frame`, `memory`, `null` and `moment` come from the methods above.
        """
        count = x.shape[0]
        h = F.linear(x, self.input_projection.weight[:, :MOTION]) + frame
        time = moment.time + memory.hidden
        for i, layer in enumerate(self.layers()):
            # The two passes part in the first layer's modulation: until there they are one.
            attended = layer.turned(h)
            if i == 0:
                h, attended = h.repeat(2, 1, 1), attended.repeat(2, 1, 1)
            films = torch.cat((layer.films(time), moment.null_films[i].expand(count, -1, -1, -1)))
            keys, values = (
                torch.cat(
                    (torch.cat((own[i], nothing[i].expand(count, -1, -1, -1))), tail[i].expand(2 * count, -1, -1, -1)),
                    2,
                )
                for own, nothing, tail in (
                    (memory.keys, null.keys, moment.keys),
                    (memory.values, null.values, moment.values),
                )
            )
            h = layer(h, attended, keys, values, films)
        conditional, unconditional = h.chunk(2)
        # u + 2·(c − u) before the last layer, which is linear: one product for both.
        out: Tensor = self.final_layer(2 * conditional - unconditional)
        return out
