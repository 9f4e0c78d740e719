# SPDX-License-Identifier: Apache-2.0
"""keras.Model's contract for inference, over a Pronghorn session."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from typing import Any, Callable, Iterator, NoReturn, Sequence

import numpy as np

from .. import _core, errors
from . import _data
from ._keras_file import keras_archive
from ._networks import Network
from ._weights_file import WeightsFile, is_keras_file, write_weights


def _softmax(x: np.ndarray) -> np.ndarray:
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


class Model:
    """A model that predicts. Made by `applications` or `models.load_model`; wraps `pronghorn.Model`.

    `softmax`: the model gives logits and predictions are to be probabilities.
    """

    def __init__(self, model: _core.Model, *, softmax: bool = False, device: str = "auto",
                 threads: int = 0, network: Network | None = None, weights: list[np.ndarray] | None = None,
                 origin: str = "", name: str = ""):
        self._model = model
        self._softmax = softmax
        self._device = device
        self._threads = threads
        self._network = network
        self._weights = weights
        self._origin = origin
        self._name = name or model.name
        self._session: _core.Session | None = None
        self._lock = threading.Lock()
        self._owner = 0

    # ---- what it is

    @property
    def native(self) -> _core.Model:
        """The `pronghorn.Model` underneath."""
        return self._model

    @property
    def session(self) -> _core.Session:
        """The session that predicts; made at first use, and again in the child of a fork."""
        with self._lock:
            if self._session is None or self._owner != os.getpid():
                self._session = _core.Session(self._model, self._device, self._threads)
                self._owner = os.getpid()
            return self._session

    @property
    def name(self) -> str:
        return self._name

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        return (None, *self._model.input_shape)

    @property
    def output_shape(self) -> Any:
        shapes = []
        for o in self._model.outputs:
            flat = o.height == 1 and o.width == 1
            shapes.append((None, o.channels) if flat else (None, o.height, o.width, o.channels))
        return shapes[0] if len(shapes) == 1 else shapes

    def count_params(self) -> int:
        if self._network is not None:
            return sum(layer.parameters for layer in self._network.layers)
        return self._model.info.parameter_bytes // (1 if self._model.quantized else 4)

    def summary(self, line_length: int | None = None, positions: Any = None,
                print_fn: Callable[[str], object] | None = None, **_: Any) -> None:
        """Prints the layers: Keras's own where the network is known, else the graph's nodes."""
        rows = []
        if self._network is not None:
            for layer in self._network.layers:
                rows.append((f"{layer.name} ({layer.kind})", (None, *layer.shape), layer.parameters))
        else:
            for node in self._model.nodes:
                shape = (None, node.height, node.width, node.channels)
                size = 1 if node.dtype in ("uint8", "int8") else 4
                rows.append((f"{node.name} ({node.op})", shape, node.parameter_bytes // size))
        show = print_fn or print
        width = line_length or 90
        show(f'Model: "{self.name}"' + (" (INT8)" if self._model.quantized else ""))
        show("=" * width)
        for name, shape, count in [("Layer (type)", "Output Shape", "Param #"), *rows]:
            show(f"{name:<{width - 42}.{width - 43}} {str(shape):<28} {count:>12}")
        show("=" * width)
        show(f"Total params: {self.count_params():,}")

    # ---- predicting

    def _run(self, x: Any) -> list[np.ndarray]:
        x = _data.for_model(x, self._model.info)
        if len(self._model.outputs) == 1:
            outputs = [self.session.run(x)]
        else:
            outputs = self.session.run_all(x)
        return [_softmax(o) for o in outputs] if self._softmax else outputs

    def _require_batch(self, x: np.ndarray) -> None:
        wanted = len(self._model.input_shape) + 1
        if self._model.input_shape[:2] == (1, 1):
            wanted = 2
        if x.ndim != wanted:
            raise errors.InvalidArgument(
                f"x has shape {x.shape}; model {self.name} takes batches {self.input_shape}: for one "
                "image write x[np.newaxis]"
            )
        if len(x) == 0:
            raise errors.InvalidArgument("x holds no images")

    def _batches(self, x: Any, y: Any, weights: Any, batch_size: int | None, steps: int | None,
                 whole: bool) -> Iterator[tuple[Any, Any, Any]]:
        if not _data.is_array(x):
            if y is not None:
                raise errors.InvalidArgument("y comes from the dataset when x is one")
            return _data.dataset_batches(x, steps)
        x = _data.as_array(x)
        self._require_batch(x)
        if y is not None and len(y) != len(x):
            raise errors.InvalidArgument(f"{len(y)} labels for {len(x)} images")
        size = len(x) if whole and batch_size is None and steps is None else batch_size or 32
        return _data.array_batches(x, y, weights, size, steps)

    def predict(self, x: Any, batch_size: int | None = None, verbose: str | int = "auto",
                steps: int | None = None, callbacks: Any = None) -> Any:
        """Probabilities (or features) of every image, in the order of `x`.

        `x`: an array, a list of arrays, a PyDataset, a tf.data.Dataset, an iterable of batches.
        Results do not depend on `batch_size`. `verbose` "auto" shows progress on a terminal only.
        """
        calls = _Callbacks(callbacks, self, "predict")
        show = _Progress(verbose)
        parts: list[list[np.ndarray]] = []
        calls("begin")
        for step, (images, _, _) in enumerate(
            self._batches(x, None, None, batch_size, steps, not callbacks and not show.on)
        ):
            calls("batch_begin", step)
            parts.append(self._run(images))
            calls("batch_end", step, {"outputs": parts[-1][0]})
            show.step(step + 1)
        calls("end")
        show.end()
        if not parts:
            raise errors.InvalidArgument("x holds no images")
        joined = [p[0] if len(p) == 1 else np.concatenate(p) for p in zip(*parts)]
        return joined[0] if len(joined) == 1 else joined

    def predict_on_batch(self, x: Any) -> Any:
        x = _data.as_array(x)
        self._require_batch(x)
        outputs = self._run(x)
        return outputs[0] if len(outputs) == 1 else outputs

    def __call__(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if training:
            raise errors.Unsupported("training=True: Pronghorn runs models, it does not train them")
        return self.predict_on_batch(inputs)

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None,
                 verbose: str | int = "auto", sample_weight: Any = None, steps: int | None = None,
                 callbacks: Any = None, return_dict: bool = False, **_: Any) -> Any:
        """[loss, accuracy]: mean cross-entropy and top-1 accuracy. `y`: class indices or one-hot."""
        calls = _Callbacks(callbacks, self, "test")
        show = _Progress(verbose)
        loss = right = total = 0.0
        calls("begin")
        for step, (images, labels, weights) in enumerate(
            self._batches(x, y, sample_weight, batch_size, steps, False)
        ):
            if labels is None:
                raise errors.InvalidArgument("evaluate needs labels: y, or batches of (x, y)")
            calls("batch_begin", step)
            p = self._run(images)[0]
            truth = _class_indices(labels, p.shape[-1])
            w = np.ones(len(p)) if weights is None else np.asarray(weights, float)
            chance = np.clip(p[np.arange(len(p)), truth], 1e-7, 1.0)
            loss += float((-np.log(chance) * w).sum())
            right += float(((p.argmax(axis=-1) == truth) * w).sum())
            total += float(w.sum())
            calls("batch_end", step, {"loss": loss / total, "accuracy": right / total})
            show.step(step + 1)
        calls("end")
        show.end()
        if total == 0:
            raise errors.InvalidArgument("x holds no images")
        result = {"loss": loss / total, "accuracy": right / total}
        return result if return_dict else [result["loss"], result["accuracy"]]

    def compile(self, optimizer: Any = None, loss: Any = None, metrics: Any = None, **_: Any) -> None:
        """Accepted so that programs run unchanged; evaluate gives cross-entropy and accuracy."""

    def fit(self, *_: Any, **__: Any) -> NoReturn:
        raise errors.Unsupported(
            "fit: Pronghorn runs models, it does not train them; train with Keras, then load the file"
        )

    # ---- weights and files

    def get_weights(self) -> list[np.ndarray]:
        """Float weights in the order and layout of Keras."""
        if self._weights is None:
            self._weights = self._read_weights()
        return [w.copy() for w in self._weights]

    def _read_weights(self) -> list[np.ndarray]:
        if self._model.quantized:
            raise errors.Unsupported(
                f"get_weights: model {self.name} is INT8; Keras's float weights are gone")
        if not is_keras_file(self._origin):
            raise errors.Unsupported(
                f"get_weights: model {self.name} is a graph whose batch norms are folded into its "
                "convolutions; Keras's weights are gone")
        with WeightsFile(self._origin) as file:
            return file.all_weights()

    def set_weights(self, weights: Sequence[Any]) -> None:
        if self._network is None:
            raise errors.Unsupported(
                f"set_weights: model {self.name} is not one of applications' float networks"
            )
        specs = self._network.specs()
        weights = [np.array(w, np.float32) for w in weights]
        if len(weights) != len(specs):
            raise errors.InvalidArgument(
                f"{len(weights)} weights for {self.name}, which has {len(specs)}"
            )
        for w, (layer, name, shape) in zip(weights, specs):
            if w.shape != shape:
                raise errors.InvalidArgument(
                    f"weight {layer}/{name} of {self.name} has shape {shape}, given {w.shape}"
                )
        model = _core.Model.from_bytes(self._network.to_onnx(weights, self.name), self.name)
        with self._lock:
            self._model, self._weights, self._session = model, weights, None
            self._softmax = False  # it is part of the graph now

    def load_weights(self, filepath: str | os.PathLike[str], **_: Any) -> None:
        """Weights of the same network: `.weights.h5`, `.h5` and `.keras` files."""
        if self._network is None:
            raise errors.Unsupported(
                f"load_weights: model {self.name} is not one of applications' float networks")
        with WeightsFile(os.fspath(filepath)) as file:
            self.set_weights(file.weights_of(self._network))

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Writes a `.weights.h5` file that Keras reads; float networks of applications only."""
        path = self._writable(filepath, (".weights.h5",), "save_weights", overwrite)
        network, weights = self._float_network("save_weights")
        written = io.BytesIO()
        write_weights(written, network, weights)
        _write_whole(path, written.getvalue())

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True, **_: Any) -> None:
        """Writes a standard ONNX file (`.onnx`), or for the float networks of applications also a
        `.keras` file, which Keras reads; `models.load_model` reads both."""
        path = self._writable(filepath, (".onnx", ".keras"), "save", overwrite)
        if path.endswith(".onnx"):
            self._model.save(path)
            return
        network, weights = self._float_network("save as .keras")
        _write_whole(path, keras_archive(network, weights, self.name))

    def _float_network(self, what: str) -> tuple[Network, list[np.ndarray]]:
        if self._network is None or self._weights is None:
            raise errors.Unsupported(
                f"{what}: model {self.name} is not one of applications' float networks; save it as .onnx")
        return self._network, self._weights

    def _writable(self, filepath: str | os.PathLike[str], endings: tuple[str, ...], what: str,
                  overwrite: bool) -> str:
        path = os.fspath(filepath)
        if not path.endswith(endings):
            raise errors.Unsupported(f"{what} {path}: names that end in {' or '.join(endings)} are written")
        if not overwrite and os.path.exists(path):
            raise errors.InvalidArgument(f"{what} {path}: the file exists and overwrite is False")
        return path

    def quantize(self, calibration: Any, **options: Any) -> Model:
        """An INT8 copy: `pronghorn.quantize` with its options. Made from photographs or uint8
        pixels it takes raw pixels; made from float tensors it takes such tensors."""
        result = _core.quantize(self._model, calibration, **options)
        return Model(result.model, softmax=self._softmax, device=self._device, threads=self._threads)

    def preprocess_input(self, x: Any) -> Any:
        """What this model wants of pixels 0 to 255: nothing when it takes raw pixels."""
        from .applications.imagenet_utils import preprocess_input

        info = self._model.info
        if info.input_is_u8 or info.preprocess_inside:
            return x
        if info.preprocess not in ("caffe", "tf", "torch"):
            raise errors.Unsupported(f"model {self.name} does not name its preprocess")
        return preprocess_input(x, mode=info.preprocess)

    def decode_predictions(self, preds: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
        """[(id, name, score), ...] for each row, with the model's own labels."""
        from .applications.imagenet_utils import decode_with

        if not self._model.labels:
            raise errors.Unsupported(f"model {self.name} has no labels")
        return decode_with(preds, self._model.label_ids, self._model.labels, top)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._model, self._softmax, self._device, self._threads, self._network,
                          self._weights, self._origin, self._name)

    def __repr__(self) -> str:
        return f"<pronghorn.keras.Model {self.name}: {self.input_shape} -> {self.output_shape}>"


def _write_whole(path: str, data: bytes) -> None:
    """The file appears whole or not at all."""
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, path)
    except OSError as error:
        if os.path.exists(part):
            os.unlink(part)
        raise errors.IoError(f"{path}: {error.strerror or error}") from error


def _restore(model: _core.Model, softmax: bool, device: str, threads: int, network: Network | None,
             weights: list[np.ndarray] | None, origin: str, name: str) -> Model:
    return Model(model, softmax=softmax, device=device, threads=threads, network=network,
                 weights=weights, origin=origin, name=name)


def _class_indices(labels: Any, classes: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == classes and classes > 1:
        return labels.argmax(axis=1)
    labels = labels.reshape(len(labels), -1)
    if labels.shape[1] != 1:
        raise errors.InvalidArgument(
            f"labels have shape {labels.shape}; (n,), (n, 1) or one-hot (n, {classes}) is accepted"
        )
    labels = labels[:, 0].astype(np.int64)
    if len(labels) and (labels.min() < 0 or labels.max() >= classes):
        raise errors.InvalidArgument(f"labels lie outside 0 to {classes - 1}, the classes")
    return labels


class _Callbacks:
    """Calls on_<kind>_<event> of Keras callbacks, or of anything with such methods."""

    def __init__(self, callbacks: Any, model: Model, kind: str):
        given = [] if callbacks is None else callbacks
        self._list = list(given) if isinstance(given, (list, tuple)) else [given]
        self._kind = kind
        for callback in self._list:
            if hasattr(callback, "set_model"):
                callback.set_model(model)

    def __call__(self, event: str, *arguments: Any) -> None:
        for callback in self._list:
            method = getattr(callback, f"on_{self._kind}_{event}", None)
            if method is not None:
                method(*arguments)


class _Progress:
    def __init__(self, verbose: str | int):
        self.on = sys.stdout.isatty() if verbose == "auto" else bool(verbose)
        self._start = time.monotonic()

    def step(self, number: int) -> None:
        if self.on:
            print(f"\r{number} batches, {time.monotonic() - self._start:.1f} s", end="", flush=True)

    def end(self) -> None:
        if self.on:
            print()
