"""Fixtures of the neural face's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.absent import needs


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """On a busy machine torch's threads wait for each other longer than they work."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_pytorch(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A whole checkpoint of the PyTorch layout: its online configuration and its data root."""
    return _written(tmp_path_factory.mktemp("pytorch"), "pytorch")


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same of the ONNX layout."""
    return _written(tmp_path_factory.mktemp("onnx"), "onnx")


def _written(out: Path, layout: str) -> tuple[Path, Path]:
    for package in ("torch", "onnx"):
        needs(package)
    from ditto.layout import Kind
    from ditto.testweights import write

    return write(out, Kind(layout), "tiny", lambda line: None)
