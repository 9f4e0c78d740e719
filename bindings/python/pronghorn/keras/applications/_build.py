# SPDX-License-Identifier: Apache-2.0
"""What the functions of applications share: where weights come from."""

from __future__ import annotations

import os
from typing import Any

from ... import _core, errors
from .._model import Model
from .._networks import NAMES, Network, depth_of
from .._random import generator
from .._weights_file import WeightsFile, h5py_or_none, is_keras_file
from ..models import from_network, wrap

# What `pronghorn pull` calls them, and the files, which Keras's own cache has under the same names.
_RESNET_FILE = "{}_weights_tf_dim_ordering_tf_kernels.h5"
_PULLED = {family: (f"{family}-keras", _RESNET_FILE.format(family))
           for family in ("resnet50", "resnet101", "resnet152")}


def cache_folder() -> str:
    """Where `pronghorn pull` puts files."""
    if os.environ.get("PRONGHORN_CACHE"):
        return os.environ["PRONGHORN_CACHE"]
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "pronghorn")


def keras_folder() -> str:
    """Where Keras puts what it downloads for applications."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return os.path.join(home, "models")


def build(family: str, include_top: bool, weights: Any, input_tensor: Any, input_shape: Any,
          pooling: str | None, classes: int, activation: str | None, alpha: float = 1.0,
          depth_multiplier: int = 1, name: str | None = None, device: str = "auto",
          threads: int = 0) -> Model:
    if input_tensor is not None:
        raise errors.Unsupported("input_tensor: graphs are not joined; give input_shape")
    if pooling not in (None, "avg", "max"):
        raise errors.InvalidArgument(f"pooling is {pooling!r}; None, 'avg' or 'max'")
    if activation not in (None, "softmax", "linear"):
        raise errors.InvalidArgument(
            f"classifier_activation is {activation!r}; 'softmax' or None")
    if depth_multiplier != 1:
        raise errors.Unsupported("depth_multiplier must be 1")
    softmax = activation == "softmax"
    shape = _input_shape(input_shape)
    if name is None:
        name = family if family != "mobilenet" else f"mobilenet_{alpha:0.2f}_{shape[0]}"
    options = {"device": device, "threads": threads, "name": name}
    pooling = None if include_top else pooling
    if weights == "tin200":
        if family != "resnet50":
            raise errors.Unsupported(f"weights='tin200' are those of ResNet50, not {NAMES[family]}")
        model = _core.Model("tin200")
        _require_shape(model, "weights='tin200'", input_shape)
        return _features_or_top(model, "tin200", include_top, pooling, softmax, **options)
    if weights is None:
        network = Network(family, shape, include_top, pooling, classes, softmax, alpha)
        return from_network(network, network.initial_weights(generator()), **options)
    if weights == "imagenet":
        path = _imagenet(family, classes, include_top, alpha)
    else:
        path = os.fspath(weights)
    if is_keras_file(path) and h5py_or_none() is not None:
        with WeightsFile(path) as file:
            if include_top and classes == 1000 and file.family == family and file.has_top:
                classes = file.classes  # what the file says, where nothing else was asked for
            network = Network(family, shape, include_top, pooling, classes, softmax, alpha)
            return from_network(network, file.weights_of(network), **options)
    return _from_graph(family, path, include_top, pooling, softmax, classes, input_shape, **options)


def _input_shape(given: Any) -> tuple[int, int, int]:
    shape = (224, 224, 3) if given is None else tuple(given)
    if len(shape) != 3 or shape[2] != 3 or None in shape or min(shape[:2]) < 32:
        raise errors.InvalidArgument(
            f"input_shape is {given}; (height, width, 3), both at least 32, is accepted")
    return shape


def _imagenet(family: str, classes: int, include_top: bool, alpha: float) -> str:
    if include_top and classes != 1000:
        raise errors.InvalidArgument("weights='imagenet' with include_top=True has 1000 classes")
    if family == "mobilenet":
        return _imagenet_of_mobilenet(alpha)
    name, file = _PULLED[family]
    path = os.path.join(cache_folder(), file)
    if os.path.exists(path):
        return path
    kerass = os.path.join(keras_folder(), file)
    if os.path.exists(kerass):
        return kerass
    raise errors.NotFound(
        f"{path}: weights='imagenet' are not there yet; fetch them once with `pronghorn pull {name}`")


def _imagenet_of_mobilenet(alpha: float) -> str:
    widths = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}
    if alpha not in widths:
        raise errors.InvalidArgument(
            f"weights='imagenet' of MobileNet with alpha {alpha}; 0.25, 0.5, 0.75 or 1.0")
    path = os.path.join(keras_folder(), f"mobilenet_{widths[alpha]}_224_tf.h5")
    if not os.path.exists(path):
        raise errors.NotFound(
            f"{path}: weights='imagenet' of MobileNet are not there yet. Keras publishes no checksum of "
            "them, so `pronghorn pull` does not list them: keras.applications.MobileNet(weights="
            "'imagenet') puts them there, or give the path of the file")
    return path


def _require_shape(model: _core.Model, what: str, given: Any) -> None:
    if given is not None and tuple(given) != model.input_shape:
        raise errors.InvalidArgument(
            f"input_shape is {given}; {what} has the fixed input {model.input_shape}")


def _from_graph(family: str, path: str, include_top: bool, pooling: str | None, softmax: bool,
                classes: int, input_shape: Any, **options: Any) -> Model:
    """Of an ONNX file; or of Keras's where h5py is missing, with batch norms folded already."""
    model = _core.Model(path)
    convolutions = sum(node.op == "Conv" for node in model.nodes)
    found = depth_of(convolutions)
    if found != family:
        what = NAMES[found] if found else f"{model.name} ({convolutions} convolutions)"
        raise errors.InvalidArgument(
            f"{path}: holds {what}, asked for are weights of {NAMES[family]}")
    _require_shape(model, path, input_shape)
    if include_top and model.classes != classes and classes != 1000:
        raise errors.InvalidArgument(f"{path}: has {model.classes} classes, asked for are {classes}")
    return _features_or_top(model, path, include_top, pooling, softmax, **options)


def _features_or_top(model: _core.Model, path: str, include_top: bool, pooling: str | None,
                     softmax: bool, **options: Any) -> Model:
    if include_top:
        made = wrap(model, path, **options)
        made._softmax = made._softmax and softmax
        return made
    nodes = model.nodes
    pools = [i for i, n in enumerate(nodes) if n.op == "AveragePool" and n.height == n.width == 1]
    if not pools:
        raise errors.Unsupported(f"{path}: no global average pooling to end at (include_top=False)")
    if pooling == "max":
        raise errors.Unsupported(
            f"pooling='max' of {path}, whose graph is fixed; 'avg' or None are possible")
    if pooling == "avg":
        return Model(model.with_output(pools[-1]), origin=path, **options)
    before = max(i for i in range(pools[-1]) if nodes[i].op not in ("Quantize", "Dequantize"))
    return Model(model.with_output(before), origin=path, **options)
