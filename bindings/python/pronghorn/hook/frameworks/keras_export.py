# SPDX-License-Identifier: Apache-2.0
"""A Keras 3 model as a `pronghorn.Model`; and what tells that its weights are no longer the same."""

from __future__ import annotations

import hashlib
import json
import operator
import os
import tempfile
import weakref
import zipfile
from typing import Any

import numpy as np

from ... import _core, _native, errors
from ..twin import Rejected

# Assignments to weights that some model's token has seen: id -> count (see `watch_assignments`), and
# how often anything in it has changed.
_assigned: dict[int, int] = {}
_changes = 0
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

    return _tensor_bytes(
        tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=variable.dtype))


def _tensor_bytes(tensor: Any) -> memoryview | bytes:
    try:
        return memoryview(tensor).cast("B")
    except (BufferError, TypeError, ValueError):  # types that buffers do not know, and scalars
        return tensor.numpy().tobytes()


class Weights:
    """The weights of a model; tells whenever one of them may have changed, cheaply enough for every
    call.

    JAX, NumPy: which arrays the weights are. PyTorch: their version counters. TensorFlow: where the
    weights lie. A token shares their memory, so that whoever changes a variable, in a graph or not,
    has to write elsewhere. Assignments that pass through Keras are counted besides.
    """

    def __init__(self, keras: Any, weights: list[Any]):
        self._backend = keras.backend.backend()
        self._weights = weights
        self._read = None
        for weight in weights:
            _watch(weight)
        self._counted = -1  # `_changes` when these were counted
        self._counts: tuple = ()
        if self._backend == "tensorflow":
            self._read = _reader([weight.value for weight in weights])

    def are(self, weights: list[Any]) -> bool:
        """Whether these are the very same variables."""
        return len(weights) == len(self._weights) and all(map(operator.is_, weights, self._weights))

    def token(self, generation: int) -> tuple:
        """Equal to an earlier one while nothing has changed. `generation` goes up with every fit,
        compile and load_weights."""
        if self._counted != _changes:
            self._counted = _changes
            self._counts = tuple(_assigned.get(id(weight), 0) for weight in self._weights)
        if self._read is not None:
            values: Any = _Memory(self._read())
        elif self._backend == "torch":
            values = tuple((w.value.data_ptr(), w.value._version) for w in self._weights)
        else:
            values = tuple(_Same(w.value) for w in self._weights)
        return generation, self._counts, values


def _reader(variables: list[Any]) -> Any:
    """A function that gives the variables' tensors, by one operation on this thread. It is one that
    TensorFlow has for its own graphs: where it cannot be had, a graph of many does the same."""
    import tensorflow as tf
    from tensorflow.python.eager import context, execute

    handles = [v.handle for v in variables]
    attributes = ("N", len(handles), "dtypes", tuple(v.dtype.as_datatype_enum for v in variables))

    def at_once():
        return execute.execute(b"_ReadVariablesOp", len(handles), handles, attributes,
                               context.context())

    def each():
        return [tf.raw_ops.ReadVariableOp(resource=v.handle, dtype=v.dtype) for v in variables]

    with tf.init_scope():
        try:
            if _native.addresses(at_once()) == _native.addresses(each()):
                return at_once
        except (tf.errors.OpError, TypeError, ValueError):
            pass  # variables on several devices, or another release
        return tf.function(each, autograph=False).get_concrete_function()


class _Memory:
    """Tensors of TensorFlow variables, equal to others that are the same memory (which nobody may
    write to while it is shared) or have the same content."""

    __slots__ = ("_tensors", "_addresses")

    def __init__(self, tensors: list[Any]):
        self._tensors = tensors
        self._addresses = _native.addresses(tensors)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Memory) or len(self._tensors) != len(other._tensors):
            return False
        if self._addresses == other._addresses and 0 not in self._addresses:
            return True
        return all(here == there and here != 0 or _bytes(mine) == _bytes(theirs)
                   for here, there, mine, theirs in zip(self._addresses, other._addresses,
                                                        self._tensors, other._tensors))

    __hash__ = None  # type: ignore[assignment]


def _bytes(tensor: Any) -> bytes:
    return bytes(memoryview(_tensor_bytes(tensor)))


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
        _count(key)  # the id of one that is gone may come again


def _count(key: int) -> None:
    global _changes
    _assigned[key] = _assigned.get(key, 0) + 1
    _changes += 1


def watch_assignments(original: Any) -> Any:
    """Variable.assign, counted."""

    def assign(self, value):
        result = original(self, value)
        if id(self) in _assigned:
            _count(id(self))
        return result

    return assign
