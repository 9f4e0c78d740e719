# SPDX-License-Identifier: Apache-2.0
"""Loads the native module; imported before anything that needs it.

TensorFlow shows the symbols of its own protobuf to the whole process. A library that is loaded
later and brings protobuf along (ours does, for ONNX) would call TensorFlow's with objects of its
own, and crash. Where that is so our libraries look among themselves first (RTLD_DEEPBIND).
"""

import ctypes
import importlib
import os
import sys

# In every release of protobuf: google::protobuf::MessageLite::ParseFromArray(void const*, int).
_PROTOBUF = "_ZN6google8protobuf11MessageLite14ParseFromArrayEPKvi"


def _load() -> None:
    if not hasattr(ctypes.CDLL(None), _PROTOBUF):  # what the process shows to everyone
        importlib.import_module("._native", __package__)
        return
    if os.environ.get("LD_PRELOAD"):
        # Preloaded allocators and sanitizers have to be seen before ours.
        raise ImportError(
            "another library of this process (TensorFlow?) shows its protobuf to everyone, and with "
            "LD_PRELOAD set Pronghorn's cannot be kept apart from it: import pronghorn before "
            "tensorflow (`python -m pronghorn` does), or leave LD_PRELOAD out")
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_NOW | os.RTLD_DEEPBIND)
    try:
        importlib.import_module("._native", __package__)
    finally:
        sys.setdlopenflags(flags)


_load()
