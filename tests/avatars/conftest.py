from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from avatar.face.avatars import AvatarStore


@pytest.fixture(scope="session")
def photo() -> bytes:
    return (Path(__file__).parents[1] / "portrait" / "pictures" / "astronaut.jpg").read_bytes()


@pytest.fixture
def open_store(tmp_path: Path, models_dir: Path) -> Iterator[Callable[[], AvatarStore]]:
    """Opens a store on one and the same directory, as a restarted server does."""
    stores: list[AvatarStore] = []

    def opened() -> AvatarStore:
        stores.append(AvatarStore(tmp_path / "avatars", models_dir))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()
