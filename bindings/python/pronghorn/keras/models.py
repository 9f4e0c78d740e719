# SPDX-License-Identifier: Apache-2.0
"""keras.models: files to models."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .. import _core
from ._keras_file import recognised
from ._model import Model
from ._networks import Network
from ._weights_file import WeightsFile, h5py_or_none, is_keras_file

__all__ = ["Model", "load_model"]


def load_model(filepath: str | os.PathLike[str], custom_objects: Any = None, compile: bool = True,
               safe_mode: bool = True, *, device: str = "auto", threads: int = 0) -> Model:
    """Reads `.keras`, `.h5` (whole models, or weights of ResNets alone) and `.onnx` files.

    Weights alone give logits; predictions are then their softmax. Other files give what they say.
    """
    del custom_objects, compile, safe_mode  # layers are recognised by class; no code is run
    path = os.fspath(filepath)
    if is_keras_file(path) and h5py_or_none() is not None:
        with WeightsFile(path) as file:
            ours = recognised(file)
            if ours is not None:
                network, name = ours
                return from_network(network, file.weights_of(network), name, device=device,
                                    threads=threads)
    return wrap(_core.Model(path), path, device=device, threads=threads)


def from_network(network: Network, arrays: list[np.ndarray], name: str, **options: Any) -> Model:
    model = _core.Model.from_bytes(network.to_onnx(arrays, name), name)
    return Model(model, network=network, weights=arrays, name=name, **options)


def wrap(model: _core.Model, path: str = "", **options: Any) -> Model:
    """Files of weights alone, and INT8 models of ours, end in logits of a classifier."""
    last = model.nodes[-1]
    logits = last.op in ("Conv", "Dequantize", "QConv") and len(model.outputs) == 1
    logits = logits and last.height == 1 and last.width == 1 and model.classes > 1
    return Model(model, softmax=logits, origin=path, **options)
