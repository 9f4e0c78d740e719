# SPDX-License-Identifier: Apache-2.0
"""keras.models: files to models."""

from __future__ import annotations

import os

from .. import _core
from ._model import Model

__all__ = ["Model", "load_model"]


def load_model(filepath, custom_objects=None, compile=True, device: str = "auto",
               threads: int = 0) -> Model:
    """Reads `.keras`, `.h5` (whole models, or weights of ResNets alone) and `.onnx` files.

    Weights alone give logits; predictions are then their softmax. Other files give what they say.
    """
    del custom_objects, compile  # layers are recognised by class; nothing is compiled for training
    path = os.fspath(filepath)
    return wrap(_core.Model(path), path, device=device, threads=threads)


def wrap(model: _core.Model, path: str = "", **options) -> Model:
    """Files of weights alone, and INT8 models of ours, end in logits of a classifier."""
    last = model.nodes[-1]
    logits = last.op in ("Conv", "Dequantize", "QConv") and len(model.outputs) == 1
    logits = logits and last.height == 1 and last.width == 1 and model.classes > 1
    return Model(model, softmax=logits, origin=path, **options)
