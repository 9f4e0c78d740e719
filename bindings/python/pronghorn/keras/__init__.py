# SPDX-License-Identifier: Apache-2.0
"""The part of Keras that predicts, on Pronghorn: `import pronghorn.keras as keras`."""

from . import applications, models, preprocessing, utils
from ._model import Model
from .models import load_model

__all__ = ["Model", "applications", "load_model", "models", "preprocessing", "utils"]
