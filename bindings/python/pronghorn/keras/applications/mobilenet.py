# SPDX-License-Identifier: Apache-2.0
from ._build import build
from .imagenet_utils import decode_predictions
from .imagenet_utils import preprocess_input as _preprocess_input

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]


def MobileNet(input_shape=None, alpha=1.0, depth_multiplier=1, dropout=1e-3, include_top=True,
              weights="imagenet", input_tensor=None, pooling=None, classes=1000,
              classifier_activation="softmax", name=None, **options):
    """`weights`: None (random), "imagenet" (from the cache of `pronghorn pull`) or a path."""
    return build("mobilenet", include_top, weights, input_tensor, input_shape, pooling, classes,
                 classifier_activation, alpha=alpha, depth_multiplier=depth_multiplier, name=name,
                 **options)


def preprocess_input(x, data_format=None):
    """Pixels 0 to 255 to -1 to 1 (Keras's "tf")."""
    return _preprocess_input(x, data_format=data_format, mode="tf")
