"""Trains a member of the mouth's net on a corpus: `python -m puppet.training.train CORPUS OUT.npz [--engines …]`.

Needs torch and scipy. One thread, fixed seeds: the same corpus gives the same weights, byte for byte, where the
arithmetic is the same; `make train` pins the instruction sets too.
"""

from __future__ import annotations

import argparse
import copy
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch  # type: ignore[import-not-found, unused-ignore]
from scipy.signal import fftconvolve, lfilter, resample_poly  # type: ignore[import-not-found, import-untyped, unused-ignore]
from torch import Tensor, nn  # type: ignore[import-not-found, unused-ignore]

from ..net import CONTEXT, LOOK_AHEADS
from ..sound import BANDS, RATE, Ear
from ..visemes import NAMES, blend, segments
from .corpus import TRAINED_ON, read
from .voices import Take

log = logging.getLogger("puppet.training.train")

Floats = npt.NDArray[np.float32]
Phones = list[tuple[float, float, str]]

STEP_S = 0.02
HEAD_WEIGHTS = (0.4, 1.0, 0.4)
"""80 ms is the one that is used unless a session asks for another."""
CHANNELS, HIDDEN = 96, 192
LENGTH, BATCH = 256, 48
AVERAGING = 0.998
"""The weights that are kept are a running mean of the last few hundred steps': it generalises better than the last."""
WEIGHT = torch.tensor([1.5, 1.0, 1.0, 2.0, 1.0, 0.7, 0.8, 0.7])
"""jaw, wide, pucker, press, fv, tongue, teeth, speech: what is seen most counts most."""

UNDECIDED = 0.3
CLOSING = torch.tensor([name in ("P", "T", "K", "L", "R", "F") for name in NAMES])
SHUT = torch.tensor([name in ("P", "F", "sil") for name in NAMES])
LEFT = torch.tensor([name in ("T", "K", "L", "R") for name in NAMES])
"""Consonants that may close the lips and may not, those that do, and those that leave them to their neighbours."""


def _equaliser(rng: np.random.Generator, sound: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Two random peaks: rooms, microphones and other people's spectra (RBJ's cookbook)."""
    for _ in range(2):
        gain, q = 10 ** (rng.uniform(-9, 9) / 40), rng.uniform(0.4, 1.5)
        w = 2 * np.pi * 10 ** rng.uniform(2.1, 3.75) / RATE
        alpha, c = np.sin(w) / 2 / q, np.cos(w)
        sound = lfilter(
            [1 + alpha * gain, -2 * c, 1 - alpha * gain], [1 + alpha / gain, -2 * c, 1 - alpha / gain], sound
        )
    return sound


def vary(rng: np.random.Generator, take: Take) -> tuple[Floats, Phones]:
    """The take by another speaker, in another room, with noise: sound and moved phonemes."""
    sound: npt.NDArray[np.floating] = take.pcm.astype(np.float32) / 32768
    percent = int(rng.integers(80, 125))
    sound = resample_poly(sound, 100, percent)
    factor = 100 / percent
    sound = _equaliser(rng, sound)
    if rng.random() < 0.3:
        n = int(RATE * rng.uniform(0.05, 0.3))
        echo = rng.standard_normal(n) * np.exp(-np.arange(n) / (n / 5))
        echo *= rng.uniform(0.1, 0.5) / np.sqrt((echo**2).sum())
        echo[0] = 1
        sound = fftconvolve(sound, echo)[: len(sound)]
    if rng.random() < 0.3:
        pole = np.exp(-2 * np.pi * rng.uniform(2800, 6500) / RATE)
        for _ in range(2):
            sound = lfilter([1 - pole], [1, -pole], sound)
    sound = sound / np.sqrt((sound**2).mean() + 1e-9) * 10 ** (rng.uniform(-38, -16) / 20)
    level = np.sqrt((sound**2).mean())
    before = int(RATE * rng.choice([rng.uniform(0, 0.05), rng.uniform(0.05, 0.6)]))
    sound = np.concatenate([np.zeros(before), sound, np.zeros(int(RATE * rng.uniform(0.1, 0.6)))])
    if rng.random() < 0.7:
        noise = rng.standard_normal(len(sound))
        if rng.random() < 0.5:
            noise = lfilter([1], [1, -0.95], noise)
        sound = sound + noise / noise.std() * level * 10 ** (-rng.uniform(12, 50) / 20)
    elif rng.random() < 0.5:
        sound = sound + rng.standard_normal(len(sound)) * 1e-5
    shift = before / RATE
    return sound.astype(np.float32), [(s * factor + shift, e * factor + shift, ipa) for s, e, ipa in take.phones]


def example(sound: Floats, phones: Phones) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Features (steps, 2 · BANDS), targets (steps, 8) and the viseme of each step (steps,)."""
    features, _ = Ear().hear(sound)
    steps = len(features) // 2
    parts = segments(phones)
    times = (np.arange(2 * steps) + 0.5) * STEP_S / 2
    mouth = blend(parts, times).reshape(steps, 2, -1).mean(axis=1)
    middle = (np.arange(steps) + 0.5) * STEP_S
    viseme = np.zeros(steps, np.int64)
    for p in parts:
        viseme[(middle >= p.start) & (middle < p.end)] = NAMES.index(p.viseme)
    target = np.concatenate([mouth, (viseme != 0)[:, None]], axis=1)
    return features[: 2 * steps].reshape(steps, 2 * BANDS), target.astype(np.float32), viseme


class MouthNet(nn.Module):
    """Causal convolution, GRU, and a linear layer; the second head names visemes and is dropped after training."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Conv1d(2 * BANDS, CHANNELS, CONTEXT)
        self.memory = nn.GRU(CHANNELS, HIDDEN, batch_first=True)
        self.mouth = nn.Linear(HIDDEN, 8 * len(LOOK_AHEADS))
        self.viseme = nn.Linear(HIDDEN, len(NAMES))
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.relu(self.front(nn.functional.pad(x.transpose(1, 2), (CONTEXT - 1, 0)))).transpose(1, 2)
        h = self.drop(self.memory(self.drop(z))[0])
        return self.mouth(h).unflatten(-1, (len(LOOK_AHEADS), 8)), self.viseme(h)


def _soft_shape(mouth: Tensor) -> Tensor:
    """`visemes.shape_mouth`, with a slope outside of its range so that it can be learned through; then the aperture."""
    low = torch.tensor([0.11, 0.32, 0.42])
    gain = torch.tensor([1.6, 1 / 0.46, 1 / 0.4])
    z = (mouth[..., [0, 3, 4]] - low) * gain
    z = z.clamp(0, 1) + 0.02 * (z - z.clamp(0, 1))
    return z[..., 0] * (1 - z[..., 1]) * (1 - 0.75 * z[..., 2])


def _width(mouth: Tensor) -> Tensor:
    """`measure.width` of the shaped mouth."""
    return 0.15 * (1.15 * mouth[..., 1]).clamp(0, 1) - 0.40 * (1.25 * mouth[..., 2]).clamp(0, 1)


def _undecided(logits: Tensor, visemes: Tensor) -> Tensor:
    """What it costs to take consonants for each other that close the lips and that do not. Each is judged by its surest
    step within 40 ms, since engines do not agree on a consonant's time to the step; both kinds count alike, however
    often they are. Shapes (…, steps, heads, 8) and (…, steps, heads)."""

    def dilated(values: Tensor, steps: int) -> Tensor:
        flat = values.movedim(1, -1).flatten(0, 1)[:, None]
        pooled = nn.functional.max_pool1d(flat, 2 * steps + 1, 1, steps)[:, 0]
        return pooled.unflatten(0, (len(values), -1)).movedim(-1, 1)

    near = dilated(SHUT[visemes].float(), 4) > 0
    press = dilated(logits[..., 3], 2)
    lips, others = visemes == NAMES.index("P"), LEFT[visemes] & ~near
    total = torch.zeros(())
    for head, weight in enumerate(HEAD_WEIGHTS):
        for wanted, sign in ((lips[..., head], -1), (others[..., head], 1)):
            total = total + weight * nn.functional.softplus(sign * press[..., head][wanted]).mean()
    return total


def fit(takes: Sequence[Take], epochs: int, seed: int, copies: int) -> MouthNet:
    """Trains on `copies` variations of each take."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    rng = np.random.default_rng(seed)
    began = time.monotonic()
    xs, ys, vs = [], [], []
    for i in rng.permutation(np.repeat(np.arange(len(takes)), copies)):
        x, y, v = example(*vary(rng, takes[i]))
        xs.append(x.astype(np.float16))
        late = [np.pad(y, ((delay, 0), (0, 0)), mode="edge")[: len(y)] for delay in LOOK_AHEADS]
        ys.append(np.stack(late, axis=1).astype(np.float16))
        vs.append(np.stack([np.pad(v, delay)[: len(v)] for delay in LOOK_AHEADS], axis=1).astype(np.int8))
    x_all, y_all, v_all = np.concatenate(xs), np.concatenate(ys), np.concatenate(vs)
    log.info("%d takes, %.1f hours, prepared in %.0f s", len(xs), len(x_all) * STEP_S / 3600, time.monotonic() - began)
    net = MouthNet()
    average = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-3)
    per_epoch = (len(x_all) // LENGTH - 1) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=epochs * per_epoch + 1)
    for epoch in range(epochs):
        starts = np.arange(int(rng.integers(0, LENGTH)), len(x_all) - LENGTH, LENGTH)
        rng.shuffle(starts)
        net.train()
        total = 0.0
        for i in range(per_epoch):
            rows = starts[i * BATCH : (i + 1) * BATCH, None] + np.arange(LENGTH)
            heard = torch.from_numpy(x_all[rows].astype(np.float32))
            wanted = torch.from_numpy(y_all[rows].astype(np.float32))[:, 20:]
            visemes = torch.from_numpy(v_all[rows].astype(np.int64))[:, 20:]
            # A colour of its own for each stretch, and now and then a band that is missing.
            heard = heard + 0.06 * torch.randn(len(rows), 1, 2 * BANDS)
            band, wide = int(rng.integers(0, BANDS)), int(rng.integers(1, 7))
            if rng.random() < 0.5:
                heard[
                    : BATCH // 2, :, [b for h in (0, BANDS) for b in range(h + band, min(h + band + wide, h + BANDS))]
                ] = 0
            logits, names = net(heard)
            logits, names = logits[:, 20:], names[:, 20:]
            mouth = torch.sigmoid(logits)
            weight = WEIGHT * torch.ones_like(wanted)
            # Where lips may or may not close, the closure is what matters.
            weight[..., 3] *= 1 + 1.5 * CLOSING[visemes]
            each = (nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * weight).mean(
                dim=-1
            )
            each = each + 2 * ((mouth - wanted) ** 2 * weight).mean(dim=-1)
            each = (
                each + 3 * (_soft_shape(mouth) - _soft_shape(wanted)) ** 2 + 6 * (_width(mouth) - _width(wanted)) ** 2
            )
            loss = (each.mean(dim=(0, 1)) * torch.tensor(HEAD_WEIGHTS)).sum()
            loss = loss + 0.25 * nn.functional.cross_entropy(names.reshape(-1, len(NAMES)), visemes[..., 1].reshape(-1))
            loss = loss + UNDECIDED * _undecided(logits, visemes)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            for mean, now in zip(average.parameters(), net.parameters(), strict=True):
                mean.data.lerp_(now.data, 1 - AVERAGING)
            total += loss.item()
        log.info("epoch %d: loss %.4f, %.0f s", epoch, total / per_epoch, time.monotonic() - began)
    average.eval()
    return average


def save(net: MouthNet, path: Path) -> None:
    """One member, as half floats: matrices that a row vector is multiplied by. Not
    compressed: halves hardly shrink, and what zlib makes of them differs from one build of it to the next."""
    state = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    np.savez(
        path,
        **{
            name: value.astype(np.float16)
            for name, value in {
                "front": state["front.weight"].transpose(2, 1, 0).reshape(-1, CHANNELS),
                "front_bias": state["front.bias"],
                "input": state["memory.weight_ih_l0"].T,
                "input_bias": state["memory.bias_ih_l0"],
                "hidden": state["memory.weight_hh_l0"].T,
                "hidden_bias": state["memory.bias_hh_l0"],
                "mouth": state["mouth.weight"].T,
                "mouth_bias": state["mouth.bias"],
            }.items()
        },
    )


def join(members: Sequence[Path], path: Path) -> None:
    """Writes members that were trained apart as the one file that `puppet.net` reads."""
    stored = [np.load(member, allow_pickle=False) for member in members]

    def layer(name: str) -> Any:
        stacked = np.stack([member[name] for member in stored])
        return stacked[:, None] if name.endswith("bias") else stacked

    np.savez(path, **{name: layer(name) for name in stored[0].files})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--join", type=Path, nargs="+", metavar="MEMBER", help="no training: OUT is made of these")
    parser.add_argument("--engines", nargs="*", default=list(TRAINED_ON))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.join:
        join(args.join, args.out)
        return
    takes = [take for engine in args.engines for take in read(args.corpus / f"{engine}.npz")]
    save(fit(takes, args.epochs, args.seed, args.copies), args.out)


if __name__ == "__main__":
    main()
