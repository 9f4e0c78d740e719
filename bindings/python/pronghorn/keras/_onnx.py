# SPDX-License-Identifier: Apache-2.0
"""Writes ONNX models of the few ops that pronghorn.keras builds, in protobuf's wire format."""

from __future__ import annotations

import struct

import numpy as np

_OPSET = 13
_FLOAT = 1


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _attribute(name: str, value) -> bytes:
    out = _bytes(1, name)
    if isinstance(value, int):
        return out + _int(3, value) + _int(20, 2)
    if isinstance(value, float):
        return out + _varint(2 << 3 | 5) + struct.pack("<f", value) + _int(20, 1)
    return out + b"".join(_int(8, v) for v in value) + _int(20, 7)


def _tensor(name: str, array: np.ndarray) -> bytes:
    kinds = {"float32": _FLOAT, "int64": 7}
    dims = b"".join(_int(1, d) for d in array.shape)
    data = np.ascontiguousarray(array).tobytes()
    return dims + _int(2, kinds[array.dtype.name]) + _bytes(8, name) + _bytes(9, data)


def _value(name: str, shape) -> bytes:
    dims = _bytes(1, _bytes(2, "N")) + b"".join(_bytes(1, _int(1, d)) for d in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _int(1, _FLOAT) + _bytes(2, dims)))


class Writer:
    """Nodes and constants in order; each node's output has the node's name."""

    def __init__(self, name: str, height: int, width: int):
        self._name = name
        self._parts: list[bytes] = [_bytes(11, _value("input", (3, height, width)))]
        self._nodes: list[bytes] = []

    def constant(self, name: str, array: np.ndarray) -> str:
        self._parts.append(_bytes(5, _tensor(name, array)))
        return name

    def node(self, op: str, name: str, inputs: list[str], **attributes) -> str:
        body = b"".join(_bytes(1, i) for i in inputs) + _bytes(2, name) + _bytes(3, name)
        body += _bytes(4, op)
        body += b"".join(_bytes(5, _attribute(k, v)) for k, v in attributes.items())
        self._nodes.append(_bytes(1, body))
        return name

    def finish(self, output: str, shape, metadata: dict[str, str]) -> bytes:
        """The file, with `output` (shape without the batch, channels first) as the result."""
        graph = b"".join(self._nodes) + _bytes(2, self._name) + b"".join(self._parts)
        graph += _bytes(12, _value(output, shape))
        model = _int(1, 8) + _bytes(2, "pronghorn") + _bytes(7, graph)
        model += _bytes(8, _bytes(1, "") + _int(2, _OPSET))
        for key, value in metadata.items():
            model += _bytes(14, _bytes(1, key) + _bytes(2, value))
        return model
