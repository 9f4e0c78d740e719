# SPDX-License-Identifier: Apache-2.0
"""Keras's float weights out of its files, and into one: .h5 (the layout of Keras 2, weights alone or a
whole model), .weights.h5 and .keras. Needs h5py."""

from __future__ import annotations

import collections
import io
import json
import os
import re
import zipfile
from types import ModuleType
from typing import Any

import numpy as np

from .. import errors
from ._networks import NAMES, Layer, Network, depth_of

_INSIDE = "model.weights.h5"  # of a .keras archive
_KERNELS = ("depthwise_conv2d", "conv2d", "dense")  # the top last, in Keras 3's layout


def h5py_or_none() -> ModuleType | None:
    try:
        import h5py
    except ImportError:
        return None
    return h5py


def is_keras_file(path: str) -> bool:
    """HDF5, or a zip archive: what Keras writes. The file need not exist."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError:
        return False
    return start == b"\x89HDF\r\n\x1a\n" or start[:4] == b"PK\x03\x04"


class WeightsFile:
    """One open file. `config`: the architecture, where the file has one. Close it, or use `with`."""

    def __init__(self, path: str):
        h5py = h5py_or_none()
        if h5py is None:
            raise errors.Unsupported("reading Keras's weights needs h5py: pip install h5py")
        if not os.path.exists(path):
            raise errors.NotFound(f"{path}: no such file")
        if not is_keras_file(path):
            raise errors.Unsupported(
                f"{path or 'the model'}: Keras's weights are read from .h5, .weights.h5 and .keras files")
        self.path = path
        self.config: dict[str, Any] | None = None
        try:
            self._file = self._open(h5py)
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise errors.Corrupt(f"{path}: {error}") from error
        self._root = self._file.get("model_weights", self._file)
        names = _attribute(self._root, "layer_names")
        self._legacy = names is not None
        self._names = names or []
        if not self._legacy and "layers" not in self._root:
            self.close()
            raise errors.Unsupported(f"{path}: HDF5, but neither of Keras's layouts of weights")

    def _open(self, h5py: ModuleType) -> Any:
        if not zipfile.is_zipfile(self.path):
            file = h5py.File(self.path, "r")
            if "model_config" in file.attrs:
                self.config = json.loads(file.attrs["model_config"])
            return file
        with zipfile.ZipFile(self.path) as archive:
            self.config = json.loads(archive.read("config.json"))
            return h5py.File(io.BytesIO(archive.read(_INSIDE)), "r")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> WeightsFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- of one of our networks

    @property
    def family(self) -> str | None:
        """Which of our networks has as many convolutions and dense layers; None: none of them."""
        return depth_of(len(self._kernels()))

    @property
    def has_top(self) -> bool:
        family = self.family
        return family is not None and depth_of(len(self._kernels()) + 1) != family

    @property
    def classes(self) -> int:
        """Outputs of the last convolution or dense layer."""
        return int(self._kernels()[-1].shape[-1])

    def _kernels(self) -> list[Any]:
        """Kernels of convolutions and dense layers; that of the top, if there is one, is the last."""
        if self._legacy:
            return [data for name in self._names for key, data in self._legacy_layer(name).items()
                    if key in ("kernel", "depthwise_kernel")]
        layers = self._root["layers"]
        return [layers[f"{kind}{_suffix(i)}"]["vars"]["0"] for kind in _KERNELS
                for i in range(len(layers)) if "0" in layers.get(f"{kind}{_suffix(i)}/vars", ())]

    def weights_of(self, network: Network) -> list[np.ndarray]:
        """In the order of Keras's get_weights. Raises errors.InvalidArgument naming both networks."""
        family = self.family
        if family != network.family:
            what = NAMES[family] if family else f"another network ({len(self._kernels())} kernels)"
            raise errors.InvalidArgument(
                f"{self.path}: holds {what}, asked for are weights of {NAMES[network.family]}")
        result, seen = [], collections.Counter[str]()
        for layer in network.layers:
            if not layer.weights:
                continue
            found = self._layer(layer, seen[layer.kind])
            seen[layer.kind] += 1
            for (name, shape), data in zip(layer.weights, found):
                if data is None or data.shape != shape:
                    given = "nothing" if data is None else data.shape
                    raise errors.InvalidArgument(
                        f"{self.path}: weight {layer.name}/{name} of {NAMES[network.family]} has "
                        f"shape {shape}, the file has {given}")
                result.append(np.asarray(data, np.float32))
        return result

    def _layer(self, layer: Layer, index: int) -> list[Any]:
        """Its arrays, None where the file has none; `index` counts layers of its class."""
        if self._legacy:
            found = self._legacy_layer(layer.name)
            return [found.get(name, found.get(f"depthwise_{name}")) for name, _ in layer.weights]
        place = f"layers/{_snake(layer.kind)}{_suffix(index)}/vars"
        return [self._root.get(f"{place}/{i}") for i in range(len(layer.weights))]

    def _legacy_layer(self, name: str) -> dict[str, Any]:
        if name not in self._root:
            return {}
        names = _attribute(self._root[name], "weight_names") or []
        return {n.split("/")[-1].split(":")[0]: self._root[name][n] for n in names}

    # ---- of any model

    def all_weights(self) -> list[np.ndarray]:
        """Every array, in the order of get_weights."""
        if self._legacy:
            return [np.asarray(data, np.float32) for name in self._names
                    for data in self._legacy_layer(name).values()]
        if self.config is None:
            raise errors.Unsupported(f"{self.path}: weights without an architecture have no order")
        return self._arrays(self._root, self.config)

    def _arrays(self, group: Any, described: dict[str, Any]) -> list[np.ndarray]:
        seen, result = collections.Counter[str](), []
        for layer in described["config"]["layers"]:
            kind = _snake(layer["class_name"])
            place = f"layers/{kind}{_suffix(seen[kind])}"
            seen[kind] += 1
            if place not in group:
                continue
            own = group[place].get("vars", {})
            result += [np.asarray(own[str(i)], np.float32) for i in range(len(own))]
            if "layers" in layer["config"] and "layers" in group[place]:
                result += self._arrays(group[place], layer)
        return result


def _suffix(index: int) -> str:
    return f"_{index}" if index else ""


def _snake(kind: str) -> str:
    """Keras's own way from Conv2D to conv2d and BatchNormalization to batch_normalization."""
    kind = re.sub(r"\W+", "", kind)
    kind = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower()


def _attribute(group: Any, name: str) -> list[str] | None:
    """A list of names; Keras cuts long ones into name0, name1, ..."""
    parts = [name] if name in group.attrs else []
    while not parts and f"{name}0" in group.attrs or parts and f"{name}{len(parts)}" in group.attrs:
        parts.append(f"{name}{len(parts)}")
    if not parts:
        return None
    return [n.decode() if isinstance(n, bytes) else str(n) for p in parts for n in group.attrs[p]]


def write_weights(target: Any, network: Network, weights: list[np.ndarray]) -> None:
    """The .weights.h5 of Keras 3; `target`: a path or a file object."""
    h5py = h5py_or_none()
    if h5py is None:
        raise errors.Unsupported("writing Keras's weights needs h5py: pip install h5py")
    arrays, seen = iter(weights), collections.Counter[str]()
    with h5py.File(target, "w") as file:
        for layer in network.layers:
            kind = _snake(layer.kind)
            group = file.create_group(f"layers/{kind}{_suffix(seen[kind])}/vars")
            group.attrs["name"] = layer.name
            seen[kind] += 1
            for i in range(len(layer.weights)):
                group[str(i)] = next(arrays)
