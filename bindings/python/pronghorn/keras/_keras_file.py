# SPDX-License-Identifier: Apache-2.0
"""The networks of applications as `.keras` files: written for Keras, recognised in what it wrote."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import Any

import numpy as np

from ._networks import Layer, Network
from ._weights_file import WeightsFile, write_weights

_KERAS = "3.9.0"  # the oldest release whose readers take what is written here


def keras_archive(network: Network, weights: list[np.ndarray], name: str) -> bytes:
    """A whole model: what `keras.Model.save("....keras")` writes, less what training needs."""
    weights_file = io.BytesIO()
    write_weights(weights_file, network, weights)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        saved = time.strftime("%Y-%m-%d@%H:%M:%S")
        zipped.writestr("metadata.json", json.dumps({"keras_version": _KERAS, "date_saved": saved}))
        zipped.writestr("config.json", json.dumps(_model_config(network, name)))
        zipped.writestr("model.weights.h5", weights_file.getvalue())
    return archive.getvalue()


def _model_config(network: Network, name: str) -> dict[str, Any]:
    shapes = {layer.name: [None, *layer.shape] for layer in network.layers}
    layers = [{
        "module": "keras.layers", "class_name": layer.kind, "registered_name": None,
        "name": layer.name, "config": {"name": layer.name, **_settings(layer, network.epsilon)},
        "inbound_nodes": _nodes(layer, shapes),
    } for layer in network.layers]
    return {
        "module": "keras.src.models.functional", "class_name": "Functional",
        "registered_name": "Functional",
        "config": {"name": name, "trainable": True, "layers": layers,
                   "input_layers": [[network.layers[0].name, 0, 0]],
                   "output_layers": [[network.output, 0, 0]]},
    }


def _nodes(layer: Layer, shapes: dict[str, list[int | None]]) -> list[dict[str, Any]]:
    if not layer.inputs:
        return []
    tensors = [{"class_name": "__keras_tensor__",
                "config": {"shape": shapes[i], "dtype": "float32", "keras_history": [i, 0, 0]}}
               for i in layer.inputs]
    return [{"args": [tensors] if layer.kind == "Add" else tensors, "kwargs": {}}]


def _settings(layer: Layer, epsilon: float) -> dict[str, Any]:
    """The arguments of Keras's layer that are not at their defaults."""
    options = dict(layer.options)
    if layer.kind == "InputLayer":
        return {"batch_shape": [None, *layer.shape], "dtype": "float32"}
    if layer.kind in ("Conv2D", "DepthwiseConv2D"):
        shape = layer.weights[0][1]
        settings: dict[str, Any] = {
            "kernel_size": list(shape[:2]), "strides": [options["stride"]] * 2,
            "padding": "same" if options["same"] else "valid", "use_bias": len(layer.weights) > 1}
        return settings if layer.kind == "DepthwiseConv2D" else {**settings, "filters": shape[-1]}
    if layer.kind == "BatchNormalization":
        return {"epsilon": epsilon, "axis": -1 if epsilon == 1e-3 else len(layer.shape)}
    if layer.kind == "ReLU":
        return {"max_value": options["most"]}
    if layer.kind == "Activation":
        return {"activation": "relu" if "relu" in options else _activation(options)}
    if layer.kind == "ZeroPadding2D":
        top, left, bottom, right = options["pads"]
        return {"padding": [[top, bottom], [left, right]]}
    if layer.kind == "MaxPooling2D":
        return {"pool_size": [3, 3], "strides": [2, 2]}
    if layer.kind == "GlobalAveragePooling2D":
        return {"keepdims": len(layer.shape) == 3}
    if layer.kind == "Dropout":
        return {"rate": 1e-3}
    if layer.kind == "Reshape":
        return {"target_shape": list(layer.shape)}
    if layer.kind == "Dense":
        return {"units": layer.shape[0], "activation": _activation(options)}
    return {}


def _activation(options: dict[str, Any]) -> str:
    return "softmax" if options["softmax"] else "linear"


def recognised(file: WeightsFile) -> tuple[Network, str] | None:
    """Our network, and the name of the model, when a whole model in a file is just that: the same
    layers with the same settings in the same order."""
    layers = (file.config or {}).get("config", {}).get("layers")
    if not isinstance(layers, list) or not layers or file.family is None:
        return None
    first, last = layers[0].get("config", {}), layers[-1].get("config", {})
    shape = (first.get("batch_shape") or first.get("batch_input_shape") or [None])[1:]
    if len(shape) != 3 or None in shape:
        return None
    alpha = 1.0
    if file.family == "mobilenet":
        alpha = next((c["config"]["filters"] / 32 for c in layers if c["class_name"] == "Conv2D"), 1.0)
    pooling = {"GlobalAveragePooling2D": "avg", "GlobalMaxPooling2D": "max"}.get(
        layers[-1]["class_name"])
    network = Network(file.family, tuple(shape), file.has_top, pooling, file.classes,
                      last.get("activation") == "softmax", alpha)
    if len(layers) != len(network.layers):
        return None
    for given, layer in zip(layers, network.layers):
        if given["class_name"] != layer.kind:
            return None
        if layer.weights and given["config"]["name"] != layer.name:
            return None
        wanted = _settings(layer, network.epsilon)
        wanted.pop("batch_shape", None)
        wanted.pop("rate", None)  # of no effect in inference
        wanted.pop("axis", None)  # -1 and 3 are the same; Keras 2 writes lists
        if any(_plain(given["config"].get(key)) != _plain(value) for key, value in wanted.items()
               if not (key == "keepdims" and not value)):
            return None
    return network, file.config["config"]["name"] if file.config else network.family


def _plain(value: Any) -> Any:
    """Lists and tuples alike; an activation may be written as an object."""
    if isinstance(value, dict):
        value = value.get("config", value)
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
