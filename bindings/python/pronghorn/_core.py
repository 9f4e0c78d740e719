# SPDX-License-Identifier: Apache-2.0
"""Models, sessions, sources and quantization over the native module."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import dataclasses
import os
import weakref
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from . import _native, errors

devices = _native.devices
available_cores = _native.available_cores
Device = _native.Device

_MODEL_NAMES = ("tin200",)


class Model:
    """A graph with its constants: from a file, from bytes, or embedded in the library. Immutable.

    `Model(path)` reads ONNX (float or quantized) and Keras `.h5`, `.keras` and `.weights.h5` files;
    `Model("tin200")` is the ResNet50 INT8 that the library carries.
    """

    __slots__ = ("_native", "__weakref__")

    def __init__(self, source: str | os.PathLike[str]):
        name = os.fspath(source)
        self._native = (
            _native.Model.embedded(name) if name in _MODEL_NAMES else _native.Model.load(name)
        )

    @classmethod
    def _of(cls, native: _native.Model) -> Model:
        model = cls.__new__(cls)
        model._native = native
        return model

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "model") -> Model:
        """The content of a model file; `name` stands for the file in messages."""
        return cls._of(_native.Model.from_bytes(bytes(data), name))

    def to_bytes(self) -> bytes:
        """A standard ONNX file; the same model always gives the same bytes."""
        return self._native.to_bytes()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a standard ONNX file; it appears whole or not at all."""
        self._native.save(os.fspath(path))

    @property
    def info(self) -> _native.ModelInfo:
        return self._native.info

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def quantized(self) -> bool:
        return self.info.quantized

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width, channels of one image."""
        info = self.info
        return (info.input_height, info.input_width, info.input_channels)

    @property
    def input_dtype(self) -> np.dtype:
        """uint8 for models of raw pixels, else float32."""
        return np.dtype(np.uint8 if self.info.input_is_u8 else np.float32)

    @property
    def classes(self) -> int:
        """Elements of the first output of one image."""
        return self.info.classes

    @property
    def outputs(self) -> list[_native.Output]:
        return [self._native.output(i) for i in range(self._native.output_count)]

    @property
    def nodes(self) -> list[_native.Node]:
        return [self._native.node(i) for i in range(self.info.nodes)]

    @property
    def labels(self) -> list[str]:
        """Class names by index; empty when the model has none."""
        names = [self._native.label(i) for i in range(self.classes)]
        return names if any(names) else []

    @property
    def label_ids(self) -> list[str]:
        """WordNet ids by index; empty when the model has none."""
        ids = [self._native.label_id(i) for i in range(self.classes)]
        return ids if any(ids) else []

    def with_labels(self, names: Sequence[str], ids: Sequence[str] = ()) -> Model:
        return Model._of(self._native.with_labels(list(names), list(ids)))

    def with_preprocess(self, preset: str) -> Model:
        """`preset`: "torch", "caffe" or "tf": how pixels become the float input."""
        return Model._of(self._native.with_preprocess(preset))

    def with_resize(self, mode: str) -> Model:
        """`mode`: "direct:224" or "short:256,crop:224"."""
        return Model._of(self._native.with_resize(mode))

    def with_output(self, node: int | str) -> Model:
        """The model up to a node, by index or name: features instead of classes."""
        if isinstance(node, str):
            names = [n.name for n in self.nodes]
            if node not in names:
                raise errors.InvalidArgument(f"model {self.name} has no node {node!r}; see nodes")
            node = names.index(node)
        return Model._of(self._native.with_output(node))

    def describe(self) -> str:
        """One line a node."""
        return self._native.describe()

    def __reduce__(self) -> tuple[Any, ...]:
        return Model.from_bytes, (self.to_bytes(), self.name)

    def __repr__(self) -> str:
        kind = "INT8" if self.quantized else "float32"
        return f"<pronghorn.Model {self.name}: {kind}, input {self.input_shape}>"


class Source:
    """An ordered list of encoded images: a file, a folder (its sub-folders are labels), or a .tar."""

    __slots__ = ("_native",)

    def __init__(self, path: str | os.PathLike[str]):
        self._native = _native.Source.open(os.fspath(path))

    @classmethod
    def _of(cls, native: _native.Source) -> Source:
        source = cls.__new__(cls)
        source._native = native
        return source

    @classmethod
    def files(cls, paths: Sequence[str | os.PathLike[str]]) -> Source:
        """These image files, in this order; one that cannot be read is a broken image later on."""
        return cls._of(_native.Source.files([os.fspath(path) for path in paths]))

    @classmethod
    def memory(cls, images: Sequence[bytes], names: Sequence[str] = ()) -> Source:
        """Encoded images (the content of JPEG or PNG files)."""
        return cls._of(_native.Source.memory([bytes(image) for image in images], list(names)))

    def repeat(self, size: int) -> Source:
        """These images again and again until there are `size`."""
        return Source._of(self._native.repeat(size))

    def __len__(self) -> int:
        return len(self._native)

    def name(self, index: int) -> str:
        return self._native.name(index)

    def label(self, index: int) -> str:
        """Folder name or WordNet id; "" when the image has none."""
        return self._native.label(index)

    def pixels(self, index: int, resize: str = "direct:224", *, nearest: bool = False) -> np.ndarray:
        """Image `index`, decoded: (width, width, 3) uint8, RGB."""
        return self._native.pixels(index, _native.Resize(resize, nearest))


def as_source(images: object) -> Source:
    """A Source of a Source, a path, a list of paths or a list of encoded images."""
    if isinstance(images, Source):
        return images
    if isinstance(images, (str, os.PathLike)):
        return Source(images)
    images = list(images)
    if images and all(isinstance(image, (bytes, bytearray)) for image in images):
        return Source.memory(images)
    return Source.files(images)


def decode(data: bytes, resize: str = "direct:224", *, nearest: bool = False) -> np.ndarray:
    """Decodes one JPEG or PNG image to (width, width, 3) uint8, RGB."""
    return _native.decode(bytes(data), _native.Resize(resize, nearest))


def top_k(scores: np.ndarray, k: int = 5) -> tuple[list[int], list[float]]:
    """Indices and softmax probabilities of the k best scores, best first."""
    indices, probabilities = _native.top_k(np.ascontiguousarray(scores, np.float32), k)
    return list(indices), list(probabilities)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One class of a classified image."""

    index: int
    label: str
    label_id: str
    probability: float


@dataclasses.dataclass(frozen=True)
class Result:
    """One classified image. `error` says why a broken image was skipped; its `top` is empty."""

    index: int
    name: str
    label: str
    error: str | None
    scores: np.ndarray | None
    top: tuple[Prediction, ...]


class Classification(Iterator[Result]):
    """The results of `classify`, in source order. Leaving early (`close`) stops the work."""

    def __init__(self, session: Session, source: Source, resize: Any, batch: int, threads: int,
                 strict: bool, top: int):
        info = session.model.info
        if top < 1:
            raise errors.InvalidArgument(f"top is {top}; 1 or more")
        self._session = session
        self._top = min(top, info.classes)
        self._softmax = not _ends_in_softmax(session.model)
        self._native = _native.Classification(
            session._native, source._native, resize, batch, threads, strict
        )

    def __next__(self) -> Result:
        index, name, label, error, scores = next(self._native)
        return Result(index, name, label, error, scores, self._best(scores))

    def _best(self, scores: np.ndarray | None) -> tuple[Prediction, ...]:
        if scores is None:
            return ()
        indices, probabilities = _native.top_k(scores, self._top)
        model = self._session.model._native
        return tuple(
            Prediction(i, model.label(i), model.label_id(i), p if self._softmax else float(scores[i]))
            for i, p in zip(indices, probabilities)
        )

    @property
    def stats(self) -> dict[str, Any]:
        """Seconds and counts; complete when the last result was taken."""
        return self._native.stats()

    def close(self) -> None:
        self._native.close()

    def __enter__(self) -> Classification:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ends_in_softmax(model: Model) -> bool:
    nodes = model.info.nodes
    return nodes > 0 and model._native.node(nodes - 1).op == "Softmax"


_open_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


@atexit.register
def _close_sessions() -> None:
    # What is queued still calls back into the interpreter: it must end first.
    for session in list(_open_sessions):
        session.close()
    _native.wait_for_abandoned()


class Session:
    """A model compiled for a device. May be used from many threads at once.

    `device` is "auto" (the environment variable PRONGHORN_DEVICE, else the best), "cpu", ...;
    `threads` 0 means every core.
    """

    __slots__ = ("_native", "model", "_device", "_threads", "__weakref__")

    def __init__(self, model: Model | str | os.PathLike[str], device: str = "auto", threads: int = 0):
        self.model = model if isinstance(model, Model) else Model(model)
        self._device = device
        self._threads = threads
        self._native = _native.Session(
            self.model._native, "" if device == "auto" else device, threads
        )
        _open_sessions.add(self)

    def run(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The first output for a batch (n, h, w, c) or one image (h, w, c).

        uint8: pixels 0 to 255, RGB; a float model's preprocess is applied. float32: the tensor as
        the model has it, without any preprocess. Arrays in C order are read where they lie; others
        are copied once. `out` (float32, C order) receives the result without an allocation.
        """
        return self._native.run(x, out)

    __call__ = run

    def run_all(self, x: np.ndarray) -> list[np.ndarray]:
        """Every output of the model."""
        return self._native.run_all(x)

    def submit(self, x: np.ndarray) -> concurrent.futures.Future[np.ndarray]:
        """Queues `run(x)`. Single images that wait together are run as one batch. Do not change
        `x` before the future is done."""
        future: concurrent.futures.Future[np.ndarray] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        self._native.submit(x, future)
        return future

    async def run_async(self, x: np.ndarray) -> np.ndarray:
        """`run(x)` for asyncio: the event loop goes on meanwhile."""
        return await asyncio.wrap_future(self.submit(x))

    def classify(
        self,
        source: Source | str | os.PathLike[str] | Sequence[Any],
        *,
        resize: str = "",
        nearest: bool = False,
        scaled_decode: bool = False,
        batch: int = 8,
        threads: int = 0,
        strict: bool = False,
        top: int = 5,
    ) -> Classification:
        """Encoded images to labels: reads, decodes, resizes and infers on all threads at once.

        Gives a `Result` for each image, in order. A broken image has `error` set; with `strict` the
        first one raises. `resize` "" is the model's own.
        """
        mode = _native.Resize(resize, nearest, scaled_decode)
        return Classification(self, as_source(source), mode, batch, threads, strict, top)

    @property
    def device(self) -> _native.Device:
        return self._native.device

    @property
    def memory_bytes(self) -> int:
        return self._native.memory_bytes

    def profile(self, enable: bool = True) -> list[dict[str, Any]]:
        """Seconds and calls of each node since profiling was switched on."""
        import json

        return json.loads(self._native.profile(enable))

    @property
    def closed(self) -> bool:
        return self._native.closed

    def close(self) -> None:
        """Waits for what was submitted and frees the device's memory."""
        self._native.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return Session, (self.model, self._device, self._threads)


def classify(
    source: Source | str | os.PathLike[str] | Sequence[Any],
    model: Model | str | os.PathLike = "tin200",
    *,
    device: str = "auto",
    **options: Any,
) -> Iterator[Result]:
    """`Session(model).classify(source)` in one call: `for result in pronghorn.classify("photos")`."""
    with Session(model, device) as session, session.classify(source, **options) as results:
        yield from results


@dataclasses.dataclass(frozen=True)
class Quantized:
    """What `quantize` gives: the INT8 model, and what was measured layer by layer."""

    model: Model
    report: dict[str, Any]
    table: str


def quantize(
    model: Model | str | os.PathLike[str],
    calibration: object,
    *,
    resize: str = "",
    method: str = "mse",
    percentile: float = 0.0,
    equalize: bool = True,
    report: bool = True,
    threads: int = 0,
    max_images: int = 0,
    progress: Callable[[int, int], object] | None = None,
) -> Quantized:
    """Post-training quantization of a float model to INT8.

    `calibration`: a Source, a path or a list of image files, some hundreds of photographs like
    those that come later; or a uint8 array (n, h, w, 3) of pixels at the model's input size. The
    result takes raw pixels. Or a float32 array of tensors as the model takes them, without any
    preprocess; the result then takes such tensors too.
    `method`: "mse", "minmax" or "percentile". `progress(done, total)`.
    """
    import json

    model = model if isinstance(model, Model) else Model(model)
    options = _native.QuantizeOptions()
    options.method = method
    options.percentile = percentile
    options.equalize = equalize
    options.report = report
    options.threads = threads
    options.max_images = max_images
    if isinstance(calibration, np.ndarray) and calibration.dtype != np.uint8:
        result = _native.quantize_tensors(model._native, calibration, options, progress)
    else:
        if isinstance(calibration, np.ndarray):
            calibration = _encode(calibration, model)
        result = _native.quantize_source(
            model._native, as_source(calibration)._native, _native.Resize(resize), options, progress
        )
    native, text, table = result
    return Quantized(Model._of(native), json.loads(text) if text else {}, table)


def _encode(pixels: np.ndarray, model: Model) -> Source:
    """Pixels as PNG images in memory: exactly the same pixels."""
    import io

    from PIL import Image

    if pixels.shape[1:] != model.input_shape or len(pixels) == 0:
        raise errors.InvalidArgument(
            f"calibration has shape {pixels.shape}; model {model.name} takes (n,) + {model.input_shape}"
        )
    images = []
    for image in pixels:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "png", compress_level=1)
        images.append(file.getvalue())
    return Source.memory(images)
