# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's own functions over other parts: its validation and its words stay its own."""

from __future__ import annotations

import functools
import types
from typing import Any, Callable


def rebound(function: Callable, **names: Any) -> Callable:
    """A copy of a Python function for which the global `names` mean something else. The function
    and its module stay as they are. AttributeError when it does not use one of the names."""
    unknown = [name for name in names if name not in function.__code__.co_names]
    if unknown:
        raise AttributeError(f"{function.__qualname__} does not use {unknown[0]}")
    copy = types.FunctionType(function.__code__, _Names(function.__globals__, names),
                              function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return functools.update_wrapper(copy, function)


class _Names(dict):
    """The globals of a module as they are when they are looked up, but for some."""

    def __init__(self, module: dict, names: dict):
        super().__init__(names)
        self._module = module

    def __missing__(self, name):
        return self._module[name]
