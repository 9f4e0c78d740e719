# SPDX-License-Identifier: Apache-2.0
"""Keras's side of a call: batches, callbacks, tensors, losses and metrics, by Keras's own means."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any, Callable, Iterable, Iterator

import numpy as np


def known(keras: Any) -> bool:
    """Whether this release has the parts of Keras that are used here."""
    try:
        _part("trainers.epoch_iterator", "EpochIterator").__next__
        _part("models.functional", "Functional")
        _part("utils.python_utils", "pythonify_logs")
        _part("trainers.data_adapters.data_adapter_utils", "unpack_x_y_sample_weight")
        return hasattr(keras.callbacks, "CallbackList") and hasattr(keras, "tree")
    except (ImportError, AttributeError):
        return False


def _part(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"keras.src.{module}"), name)


def functional_class() -> type:
    return _part("models.functional", "Functional")


# ---- values


def concrete(keras: Any, x: Any) -> str | None:
    """"" when a call with `x` is inference on values; a reason when it is, but has to be the
    original's; None when it builds, traces or is part of another call."""
    global_state = importlib.import_module("keras.src.backend.common.global_state")
    if global_state.get_global_attribute("current_call_ctx") is not None:
        return None
    scopes = importlib.import_module("keras.src.backend.common.stateless_scope")
    symbolic = importlib.import_module("keras.src.backend.common.symbolic_scope")
    if scopes.in_stateless_scope() or symbolic.in_symbolic_scope():
        return None
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _concrete_tensorflow(x)
    if backend == "torch":
        import torch

        if not isinstance(x, (np.ndarray, torch.Tensor)):
            return None
        return "gradients are recorded" if torch.is_grad_enabled() else ""
    if backend == "jax":
        import jax

        is_value = isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer)
        return "" if is_value or isinstance(x, np.ndarray) else None
    return "" if isinstance(x, np.ndarray) else None


def _concrete_tensorflow(x: Any) -> str | None:
    import tensorflow as tf
    from tensorflow.python.eager import record

    if not isinstance(x, np.ndarray) and not (tf.is_tensor(x) and hasattr(x, "numpy")):
        return None
    if not tf.executing_eagerly():
        return None
    return "gradients are recorded" if record.could_possibly_record() else ""


def array_of(keras: Any, model: Any, x: Any) -> np.ndarray | None:
    """The one array of a batch, with the rank that the model takes; None when it is not one."""
    leaves = [leaf for leaf in keras.tree.flatten(x) if leaf is not None]
    if len(leaves) != 1:
        return None
    leaf = leaves[0]
    if not isinstance(leaf, np.ndarray):
        try:
            leaf = keras.ops.convert_to_numpy(leaf)
        except Exception:  # ragged, sparse, strings: whatever Keras makes of them
            return None
    if not isinstance(leaf, np.ndarray) or leaf.ndim == 0 or leaf.dtype.kind not in "buif":
        return None
    rank = len(model.inputs[0].shape) if getattr(model, "inputs", None) else leaf.ndim
    if leaf.ndim == rank - 1 and model.inputs[0].shape[-1] == 1:
        leaf = leaf[..., np.newaxis]  # as Functional does
    elif leaf.ndim == rank + 1 and leaf.shape[-1] == 1:
        leaf = leaf[..., 0]
    return leaf


def arrays(keras: Any, outputs: Any) -> list[np.ndarray]:
    return [o if isinstance(o, np.ndarray) else keras.ops.convert_to_numpy(o)
            for o in keras.tree.flatten(outputs)]


def tensors(keras: Any, outputs: list[np.ndarray]) -> list[Any]:
    return [keras.ops.convert_to_tensor(o) for o in outputs]


def as_model_gives(model: Any, outputs: list[np.ndarray]) -> list[np.ndarray]:
    """In the dtypes of the model's outputs."""
    given = []
    for output, symbol in zip(outputs, model.outputs):
        if symbol.dtype in ("float16", "float64"):
            output = output.astype(symbol.dtype)
        given.append(output)
    return given


def pack(keras: Any, model: Any, flat: list[Any]) -> Any:
    """Outputs in the structure that the model returns: one (also of a list of one), a list, a dict."""
    structure = getattr(model, "_outputs_struct", None)
    if len(flat) == 1 and not isinstance(structure, dict):
        return flat[0]
    if structure is None:
        return flat
    return keras.tree.pack_sequence_as(structure, flat)


def row_count(result: Any) -> int:
    while isinstance(result, (list, tuple, dict)) and result:
        result = next(iter(result.values())) if isinstance(result, dict) else result[0]
    return rows_of(result)


def rows_of(x: Any) -> int:
    """Rows of an array; 0 where nobody can say without taking it apart."""
    shape = getattr(x, "shape", None)
    try:
        return int(shape[0]) if shape is not None and len(shape) else 0
    except TypeError:
        return 0


# ---- a whole call


def distributed(keras: Any, model: Any) -> str:
    """A reason when batches are shared out among devices, which is not ours to do."""
    if keras.distribution.distribution() is not None:
        return "a keras.distribution is in use"
    if getattr(model, "_distribute_strategy", None) is not None:
        return "a tf.distribute strategy is in use"
    return ""


def plain_array(keras: Any, model: Any, x: Any, batch_size: Any, steps: Any) -> bool:
    """Whether predict(x) is over the batches of one array, which Keras would cut as it lies. Its data
    adapters, which take tens of milliseconds of each call, may then be left out."""
    if type(x) is not np.ndarray or x.dtype.kind not in "uif" or x.ndim < 2 or len(x) == 0:
        return False
    if steps is not None:
        return False
    if batch_size is not None and (type(batch_size) is not int or batch_size < 1):
        return False
    inputs = getattr(model, "inputs", None)
    if not inputs or len(inputs) != 1 or x.ndim != len(inputs[0].shape):
        return False
    if any(wanted not in (None, given) for wanted, given in zip(inputs[0].shape[1:], x.shape[1:])):
        return False  # Keras says what is wrong
    limit = getattr(keras.config, "max_steps_per_epoch", None)  # not in every release
    return limit is None or limit() is None


def slices(x: np.ndarray, batch_size: int | None) -> list[np.ndarray]:
    """The batches of an array, as Keras cuts it."""
    size = batch_size or 32
    return [x[first:first + size] for first in range(0, len(x), size)]


class Run:
    """The loop of Keras's predict or evaluate: its batches, its callbacks, its progress bar."""

    def __init__(self, keras: Any, model: Any, kind: str, verbose: Any, callbacks: Any):
        self._keras = keras
        self._model = model
        self._kind = kind
        self._stop = {"predict": "stop_predicting", "test": "stop_evaluating"}[kind]
        self._verbose = verbose
        self._callbacks = callbacks
        self._end_step = 0

    def batches(self, x, y, weights, batch_size, steps) -> Iterator[Any]:
        """One batch after the other; `batch_done` comes after each and `done` at the end."""
        epoch = _part("trainers.epoch_iterator", "EpochIterator")(
            x=x, y=y, sample_weight=weights, batch_size=batch_size, steps_per_epoch=steps,
            shuffle=False)
        # First and last step; one number before Keras 3.10.
        return self._each(((steps[0], steps[-1], data[0]) for *steps, data in epoch),
                          epoch.num_batches)

    def batches_of(self, parts: list[np.ndarray]) -> Iterator[Any]:
        """The same over the slices of an array."""
        return self._each(((i, i, (part,)) for i, part in enumerate(parts)), len(parts))

    def _each(self, batches: Iterable[tuple[int, int, Any]], count: int | None) -> Iterator[Any]:
        if not isinstance(self._callbacks, self._keras.callbacks.CallbackList):
            self._callbacks = self._keras.callbacks.CallbackList(
                self._callbacks, add_progbar=self._verbose != 0, verbose=self._verbose, epochs=1,
                steps=count, model=self._model)
        setattr(self._model, self._stop, False)
        self._tell("begin")
        for first, self._end_step, data in batches:
            self._tell("batch_begin", first)
            yield data
            if getattr(self._model, self._stop):
                break

    def batch_done(self, logs: Any) -> None:
        self._tell("batch_end", self._end_step, logs)

    def done(self, logs: Any) -> None:
        self._tell("end", logs)

    def _tell(self, event: str, *arguments: Any) -> None:
        getattr(self._callbacks, f"on_{self._kind}_{event}")(*arguments)

    @staticmethod
    def inputs(data: Any) -> tuple[Any, Any, Any]:
        """x, y, weights of a batch."""
        return _part("trainers.data_adapters.data_adapter_utils", "unpack_x_y_sample_weight")(data)


class Scores:
    """Loss and metrics of evaluate, by the model's own functions on outputs of anyone's."""

    def __init__(self, keras: Any, model: Any):
        self._keras = keras
        self._model = model
        self._logs: Any = {}
        model.reset_metrics()

    def add(self, x: Any, y: Any, outputs: list[np.ndarray], weights: Any) -> Any:
        keras, model = self._keras, self._model
        y, weights = (keras.tree.map_structure(
            lambda v: None if v is None else keras.ops.convert_to_tensor(v), value)
            for value in (y, weights))
        predicted = pack(keras, model, tensors(keras, outputs))
        with self._no_gradients():
            loss = model._compute_loss(x=x, y=y, y_pred=predicted, sample_weight=weights,
                                       training=False)
            model._loss_tracker.update_state(loss, sample_weight=len(outputs[0]))
            self._logs = model.compute_metrics(x, y, predicted, sample_weight=weights)
        return self._logs

    def _no_gradients(self):
        if self._keras.backend.backend() == "torch":
            import torch

            return torch.no_grad()
        return contextlib.nullcontext()

    def result(self) -> dict[str, float]:
        pythonify: Callable = _part("utils.python_utils", "pythonify_logs")
        return pythonify(self._model._get_metrics_result_or_logs(self._logs))


def random_layer(model: Any) -> str:
    """A reason when a call that does not say training=False changes its rows at random: Keras
    calls augmenting layers with training=True unless the outermost call says otherwise."""
    for layer in model._flatten_layers():
        if type(layer).__name__.startswith("Random"):
            return f"layer {layer.name} is random unless training=False is given"
    return ""


def extra_losses(model: Any) -> str:
    """A reason when the loss depends on more than the outputs."""
    for layer in model._flatten_layers():
        if getattr(layer, "activity_regularizer", None) is not None:
            return f"layer {layer.name} adds a loss of its activity"
    return ""
