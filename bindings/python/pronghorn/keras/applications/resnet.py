# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np

from .._model import Model
from ._build import build
from .imagenet_utils import decode_predictions
from .imagenet_utils import preprocess_input as _preprocess_input

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]


def ResNet50(include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None,
             input_shape: tuple[int, int, int] | None = None, pooling: str | None = None,
             classes: int = 1000, classifier_activation: str | None = "softmax",
             name: str | None = None, **options: Any) -> Model:
    """`weights`: None (random), "imagenet" (after `pronghorn pull resnet50-keras`), "tin200" (INT8,
    inside the library) or a path. `options`: device, threads."""
    return build("resnet50", include_top, weights, input_tensor, input_shape, pooling, classes,
                 classifier_activation, name=name, **options)


def ResNet101(include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None,
              input_shape: tuple[int, int, int] | None = None, pooling: str | None = None,
              classes: int = 1000, classifier_activation: str | None = "softmax",
              name: str | None = None, **options: Any) -> Model:
    """As ResNet50; `weights`: None, "imagenet" or a path."""
    return build("resnet101", include_top, weights, input_tensor, input_shape, pooling, classes,
                 classifier_activation, name=name, **options)


def ResNet152(include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None,
              input_shape: tuple[int, int, int] | None = None, pooling: str | None = None,
              classes: int = 1000, classifier_activation: str | None = "softmax",
              name: str | None = None, **options: Any) -> Model:
    """As ResNet50; `weights`: None, "imagenet" or a path."""
    return build("resnet152", include_top, weights, input_tensor, input_shape, pooling, classes,
                 classifier_activation, name=name, **options)


def preprocess_input(x: Any, data_format: str | None = None) -> np.ndarray:
    """Pixels 0 to 255, RGB, to BGR minus the means of ImageNet (Keras's "caffe").

    INT8 models that take raw pixels want none of it: see `Model.preprocess_input`."""
    return _preprocess_input(x, data_format=data_format, mode="caffe")
