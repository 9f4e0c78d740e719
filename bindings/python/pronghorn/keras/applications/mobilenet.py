# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np

from .._model import Model
from ._build import build
from .imagenet_utils import decode_predictions
from .imagenet_utils import preprocess_input as _preprocess_input

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]


def MobileNet(input_shape: tuple[int, int, int] | None = None, alpha: float = 1.0,
              depth_multiplier: int = 1, dropout: float = 1e-3, include_top: bool = True,
              weights: Any = "imagenet", input_tensor: Any = None, pooling: str | None = None,
              classes: int = 1000, classifier_activation: str | None = "softmax",
              name: str | None = None, **options: Any) -> Model:
    """`weights`: None (random), "imagenet" (from the cache of `pronghorn pull`) or a path."""
    return build("mobilenet", include_top, weights, input_tensor, input_shape, pooling, classes,
                 classifier_activation, alpha=alpha, depth_multiplier=depth_multiplier, name=name,
                 **options)


def preprocess_input(x: Any, data_format: str | None = None) -> np.ndarray:
    """Pixels 0 to 255 to -1 to 1 (Keras's "tf")."""
    return _preprocess_input(x, data_format=data_format, mode="tf")
