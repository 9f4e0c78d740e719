# SPDX-License-Identifier: Apache-2.0
"""A Keras 3 model as a `pronghorn.Model`; and what tells that its weights are no longer the same."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import weakref
import zipfile
from typing import Any

import numpy as np

from ... import _core, errors
from ..twin import Rejected

# A weight of up to this many elements is looked at whole, of a larger one this many are.
_SAMPLES = 256

# Assignments to weights that some model's token has seen: id -> count (see `watch_assignments`).
_assigned: dict[int, int] = {}
_watched: dict[int, weakref.ref] = {}


def import_model(keras: Any, model: Any, image_shape: tuple[int, ...]) -> _core.Model:
    """The float graph of a built Functional or Sequential model, for rows of `image_shape` where
    its input leaves sizes open. Raises Rejected with the importer's reason."""
    config = _config(keras, model, image_shape)
    with tempfile.TemporaryDirectory(prefix="pronghorn-") as folder:
        weights = os.path.join(folder, "model.weights.h5")
        path = os.path.join(folder, f"{_file_name(model.name)}.keras")
        try:
            _functional(keras, model).save_weights(weights)
        except Exception as error:
            raise Rejected(f"its weights cannot be saved: {error}") from error
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("config.json", config)
            archive.write(weights, "model.weights.h5")
        try:
            return _core.Model(path)
        except errors.Error as error:
            # What is supported instead is in docs/model_formats.md; a report has no room for it.
            raise Rejected(str(error).replace(path, model.name).split("; supported are")[0]) from error


def _functional(keras: Any, model: Any) -> Any:
    """The same layers with an InputLayer in front, which a Sequential may lack."""
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs, model.outputs, name=model.name)
    return model


def _config(keras: Any, model: Any, image_shape: tuple[int, ...] | None) -> str:
    functional = _functional(keras, model)
    try:
        config = keras.saving.serialize_keras_object(functional.get_config())
    except Exception as error:
        raise Rejected(f"its configuration cannot be written: {error}") from error
    if image_shape is not None:
        for layer in config.get("layers", ()):
            settings = layer.get("config", {})
            shape = settings.get("batch_shape") if layer.get("class_name") == "InputLayer" else None
            if shape is not None and None in shape[1:]:
                settings["batch_shape"] = [None, *image_shape]
    return json.dumps({"module": "keras", "class_name": "Functional", "config": config})


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name) or "model"


def digest(keras: Any, model: Any, more: str) -> str:
    """Of the architecture, every weight, and `more`."""
    hasher = hashlib.sha256(more.encode())
    hasher.update(_config(keras, model, None).encode())
    for weight in model.weights:
        hasher.update(f"{weight.shape}{weight.dtype}".encode())
        if keras.backend.backend() == "tensorflow":
            hasher.update(_tensorflow_bytes(weight.value))
        else:
            hasher.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight.value)))
    return hasher.hexdigest()


def _tensorflow_bytes(variable: Any) -> memoryview | bytes:
    """A variable's memory where it lies: read_value() and numpy() would take ten times as long."""
    import tensorflow as tf

    value = tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=variable.dtype)
    try:
        return memoryview(value).cast("B")
    except (BufferError, TypeError, ValueError):  # types that buffers do not know, and scalars
        return value.numpy().tobytes()


def token(keras: Any, weights: list[Any], generation: int) -> tuple:
    """Changes whenever one of a model's weights may have changed; cheap enough for every call.

    JAX, NumPy: which arrays the weights are. PyTorch: their version counters. TensorFlow keeps no
    such thing: samples of every weight, all of the small ones. Assignments that pass through Keras
    are counted besides, and `generation` goes up with every fit, compile and load_weights.
    """
    backend = keras.backend.backend()
    parts: list[Any] = [generation]
    for weight in weights:
        _watch(weight)
        parts.append(_assigned.get(id(weight), 0))
        if backend == "tensorflow":
            data = np.frombuffer(_tensorflow_bytes(weight.value), np.uint8)
            data = data[:data.size // 4 * 4].view(np.uint32) if data.size >= 4 else data
            parts.append(hash(data[::max(1, data.size // _SAMPLES)].tobytes()))
        elif backend == "torch":
            parts.append((weight.value.data_ptr(), weight.value._version))
        else:
            parts.append(_Same(weight.value))
    return tuple(parts)


class _Same:
    """Equal to another when both hold the very same object, which lives until then."""

    __slots__ = ("_held",)

    def __init__(self, held: Any):
        self._held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._held is other._held

    __hash__ = None  # type: ignore[assignment]


def _watch(weight: Any) -> None:
    key = id(weight)
    known = _watched.get(key)
    if known is None or known() is not weight:
        _watched[key] = weakref.ref(weight)
        _assigned[key] = _assigned.get(key, 0) + 1  # the id of one that is gone may come again


def watch_assignments(original: Any) -> Any:
    """Variable.assign, counted."""

    def assign(self, value):
        result = original(self, value)
        if id(self) in _assigned:
            _assigned[id(self)] += 1
        return result

    return assign
