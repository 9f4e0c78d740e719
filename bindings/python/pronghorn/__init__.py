# SPDX-License-Identifier: Apache-2.0
"""Pronghorn: image classification in integers, the same bits on every device.

    import pronghorn
    for result in pronghorn.classify("photos/"):
        print(result.name, result.top[0].label, result.top[0].probability)
"""

from typing import Any

from . import _loading, errors  # _loading before all that is native
from ._core import (
    Classification,
    Device,
    Model,
    Prediction,
    Quantized,
    Result,
    Session,
    Source,
    available_cores,
    classify,
    decode,
    devices,
    quantize,
    top_k,
)
from ._native import version as _version
from .errors import Error
from .hook import install, report, uninstall

__version__ = _version()

__all__ = [
    "Classification",
    "Device",
    "Error",
    "Model",
    "Prediction",
    "Quantized",
    "Result",
    "Session",
    "Source",
    "available_cores",
    "classify",
    "decode",
    "devices",
    "errors",
    "install",
    "quantize",
    "report",
    "top_k",
    "uninstall",
]


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext pronghorn`: `install()`, and the magic `%pronghorn` that shows the report."""
    from .hook import notebook

    notebook.load(shell)


def unload_ipython_extension(shell: Any) -> None:
    uninstall()
