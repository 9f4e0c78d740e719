# SPDX-License-Identifier: Apache-2.0
"""keras.applications: ResNet50, ResNet101, ResNet152 and MobileNet."""

from . import imagenet_utils, mobilenet, resnet, resnet50
from .mobilenet import MobileNet
from .resnet import ResNet50, ResNet101, ResNet152

__all__ = [
    "MobileNet",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "imagenet_utils",
    "mobilenet",
    "resnet",
    "resnet50",
]
