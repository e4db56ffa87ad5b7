"""Makes an inner tensor of an ONNX model one of its outputs, without the `onnx` package.

An ONNX file is one protobuf message. Protobuf readers merge a message field that occurs twice, and concatenate what
repeats in it (Protocol Buffers, "Last One Wins" and merging), so a second `graph` with nothing but the output, put
behind the file, adds that output to the first.
"""

from __future__ import annotations

from collections.abc import Iterator

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_OUTPUT = 1, 12
_NODE_OUTPUT, _NODE_OP_TYPE = 2, 4
_VALUE_NAME = 1
_BYTES = 2
"""Wire type of strings and messages. Field numbers are those of onnx.proto3."""


def outputs_of(model: bytes, operator: str) -> list[str]:
    """The names of the tensors that nodes of type `operator` make."""
    found: list[str] = []
    for graph in _fields(memoryview(model), _MODEL_GRAPH):
        for node in _fields(graph, _GRAPH_NODE):
            if any(bytes(kind) == operator.encode() for kind in _fields(node, _NODE_OP_TYPE)):
                found += [bytes(name).decode() for name in _fields(node, _NODE_OUTPUT)]
    return found


def has_output(model: bytes, name: str) -> bool:
    return any(
        bytes(value) == name.encode()
        for graph in _fields(memoryview(model), _MODEL_GRAPH)
        for output in _fields(graph, _GRAPH_OUTPUT)
        for value in _fields(output, _VALUE_NAME)
    )


def with_output(model: bytes, name: str) -> bytes:
    """`model` with tensor `name` as its last output."""
    value = _field(_VALUE_NAME, name.encode())
    return model + _field(_MODEL_GRAPH, _field(_GRAPH_OUTPUT, value))


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The strings and messages with field number `wanted`. Raises `ValueError` for what is no protobuf."""
    at = 0
    while at < len(message):
        key, at = _read(message, at)
        kind = key & 7
        if kind == _BYTES:
            length, at = _read(message, at)
            if at + length > len(message):
                raise ValueError("the model file is cut short")
            if key >> 3 == wanted:
                yield message[at : at + length]
            at += length
        elif kind == 0:
            _, at = _read(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("the file is no ONNX model")


def _read(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("the file is no ONNX model")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if not byte & 0x80:
            return value, at
