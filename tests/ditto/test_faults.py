"""What a device's faults become, whatever network meets them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ditto.engine import Engine
from ditto.errors import DeviceLost, OutOfMemory
from tests.absent import needs

needs("torch")

from .stubs import voice
from .tiny import MiddleFinder, networks, portrait


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(networks(), MiddleFinder())
    made.warm()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("said", "wanted"),
    [("CUDA error: unspecified launch failure", DeviceLost), ("CUDA out of memory", OutOfMemory)],
)
@pytest.mark.parametrize(("part", "method"), [("sampler", "sample"), ("encoder", "encode")])
def test_whatever_network_meets_a_fault_of_the_device_names_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, part: str, method: str, said: str, wanted: type[Exception]
) -> None:
    performance = engine.perform(engine.rig([portrait()]), 1)

    def faulty(*_: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(getattr(engine.networks, part), method, faulty)
    with pytest.raises(wanted):
        performance.feed(voice(30_000))
    assert (engine.batcher.lost is not None) == (wanted is DeviceLost)
