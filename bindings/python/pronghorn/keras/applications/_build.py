# SPDX-License-Identifier: Apache-2.0
"""What the functions of applications share: where weights come from."""

from __future__ import annotations

import os

import numpy as np

from ... import _core, errors
from .._model import Model
from .._networks import Network, depth_of
from .._random import generator
from .._weights_file import read_weights
from ..models import wrap

_NAMES = {"resnet50": "ResNet50", "resnet101": "ResNet101", "resnet152": "ResNet152",
          "mobilenet": "MobileNet"}
_PULLED = {"resnet50": ("resnet50-keras", "resnet50_weights_tf_dim_ordering_tf_kernels.h5")}


def cache_folder() -> str:
    """Where `pronghorn pull` puts files."""
    if os.environ.get("PRONGHORN_CACHE"):
        return os.environ["PRONGHORN_CACHE"]
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "pronghorn")


def build(family, include_top, weights, input_tensor, input_shape, pooling, classes, activation,
          alpha=1.0, depth_multiplier=1, device="auto", threads=0) -> Model:
    if input_tensor is not None:
        raise errors.Unsupported("input_tensor: graphs are not joined; give input_shape")
    if pooling not in (None, "avg", "max"):
        raise errors.InvalidArgument(f"pooling is {pooling!r}; None, 'avg' or 'max'")
    if activation not in (None, "softmax", "linear"):
        raise errors.InvalidArgument(
            f"classifier_activation is {activation!r}; 'softmax' or None")
    if depth_multiplier != 1:
        raise errors.Unsupported("depth_multiplier must be 1")
    options = {"device": device, "threads": threads}
    softmax = activation == "softmax"
    shape = _input_shape(input_shape)
    if weights == "tin200":
        if family != "resnet50":
            raise errors.Unsupported(f"weights='tin200' are those of ResNet50, not {_NAMES[family]}")
        model = _core.Model("tin200")
        return _features_or_top(model, "tin200", include_top, pooling, softmax, **options)
    network = Network(family, shape, include_top, pooling, classes, softmax, alpha)
    if weights is None:
        return _from_arrays(network, network.initial_weights(generator()), **options)
    path = _imagenet(family, classes, include_top) if weights == "imagenet" else os.fspath(weights)
    return _from_file(network, path, include_top, pooling, softmax, classes, **options)


def _input_shape(given) -> tuple[int, int, int]:
    shape = (224, 224, 3) if given is None else tuple(given)
    if len(shape) != 3 or shape[2] != 3 or None in shape or min(shape[:2]) < 32:
        raise errors.InvalidArgument(
            f"input_shape is {given}; (height, width, 3), both at least 32, is accepted")
    return shape


def _from_arrays(network: Network, arrays: list[np.ndarray], **options) -> Model:
    model = _core.Model.from_bytes(network.to_onnx(arrays), network.family)
    return Model(model, network=network, weights=arrays, **options)


def _imagenet(family, classes, include_top) -> str:
    if include_top and classes != 1000:
        raise errors.InvalidArgument("weights='imagenet' with include_top=True has 1000 classes")
    if family not in _PULLED:
        raise errors.NotFound(
            f"weights='imagenet' of {_NAMES[family]} are not in the catalog of `pronghorn pull` (see "
            "`pronghorn pull --list`); give the path of the file that Keras downloads")
    name, file = _PULLED[family]
    path = os.path.join(cache_folder(), file)
    if not os.path.exists(path):
        raise errors.NotFound(
            f"{path}: weights='imagenet' are not there yet; fetch them once with `pronghorn pull "
            f"{name}`")
    return path


def _from_file(network: Network, path, include_top, pooling, softmax, classes, **options) -> Model:
    if network.family == "mobilenet" and _weights_alone(path):
        return _from_arrays(network, read_weights(path, network), **options)
    model = _core.Model(path)
    convolutions = sum(node.op == "Conv" for node in model.nodes)
    found = depth_of(convolutions)
    if found != network.family:
        what = _NAMES[found] if found else f"{model.name} ({convolutions} convolutions)"
        raise errors.InvalidArgument(
            f"{path}: holds {what}, asked for are weights of {_NAMES[network.family]}")
    if include_top and model.classes != classes and classes != 1000:
        raise errors.InvalidArgument(f"{path}: has {model.classes} classes, asked for are {classes}")
    made = _features_or_top(model, path, include_top, pooling, softmax, **options)
    if not model.quantized and network.input_shape == model.input_shape:
        kept = Network(network.family, network.input_shape, include_top, pooling,
                       model.classes if include_top else classes, softmax)
        made._network = kept
    return made


def _weights_alone(path) -> bool:
    try:
        import h5py
    except ImportError:
        return False
    if not os.path.exists(path) or not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return "model_config" not in file.attrs


def _features_or_top(model: _core.Model, path, include_top, pooling, softmax, **options) -> Model:
    if include_top:
        made = wrap(model, path, **options)
        made._softmax = made._softmax and softmax
        return made
    nodes = model.nodes
    pools = [i for i, n in enumerate(nodes) if n.op == "AveragePool" and n.height == n.width == 1]
    if not pools:
        raise errors.Unsupported(f"{path}: no global average pooling to end at (include_top=False)")
    if pooling == "max":
        raise errors.Unsupported("pooling='max' with weights of a file; 'avg' or None are possible")
    if pooling == "avg":
        return Model(model.with_output(pools[-1]), origin=path, **options)
    before = max(i for i in range(pools[-1]) if nodes[i].op not in ("Quantize", "Dequantize"))
    return Model(model.with_output(before), origin=path, **options)
