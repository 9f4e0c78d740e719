# SPDX-License-Identifier: Apache-2.0
"""A method of ours in front of scikit-learn's: which of the two answers a call, and the report of it.

`method(original, ours)` makes the method. `ours` raises `Stay` where scikit-learn's code has to do
the work; the reason is in the report, and the policy (allow, warn, forbid) of the hook decides.
"""

from __future__ import annotations

import functools
import threading
import time
from typing import Any, Callable

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

from .. import _native, errors
from ..hook.core import HOOK

FRAMEWORK = "sklearn"


class Stay(Exception):
    """scikit-learn's own code does this call; the text says why."""


class Invalid(Exception):
    """The input is wrong; scikit-learn's own code says so in its words."""


class _State(threading.local):
    depth = 0  # how many of our methods this thread is in
    original = 0  # in how many calls of scikit-learn's code instead of ours
    kind = ""  # of the numbers that the outermost call worked with


_STATE = _State()


def method(original: Callable, ours: Callable) -> Callable:
    """`ours` with the name, signature and documentation of `original`, which it falls back to."""

    @functools.wraps(original)
    def run(self, *args, **kwargs):
        if _STATE.original:
            return original(self, *args, **kwargs)
        outermost = _STATE.depth == 0
        if outermost:
            _STATE.kind = ""
        before = dict(vars(self))
        start = time.perf_counter()
        _STATE.depth += 1
        try:
            result = ours(self, *args, **kwargs)
        except (Stay, Invalid, errors.Unsupported, errors.Unavailable) as stay:
            reason = "" if isinstance(stay, Invalid) else str(stay)
            vars(self).clear()  # nothing of what we began is left
            vars(self).update(before)
        else:
            if outermost:
                record(self, original.__name__, where(), rows_of(args, kwargs),
                       time.perf_counter() - start)
            return result
        finally:
            _STATE.depth -= 1
        return run_original(self, original, reason, args, kwargs)

    run.__pronghorn_original__ = original
    return run


def methods(owner: type, ours: dict[str, Callable]) -> dict[str, Callable]:
    """Methods in front of those of a class of scikit-learn's. Those that fit validate parameters
    first, as scikit-learn's do."""
    made = {}
    for name, function in ours.items():
        original = getattr(owner, name)
        original = getattr(original, "__pronghorn_original__", original)
        if name in ("fit", "partial_fit"):
            function = _fitting(function)
        made[name] = method(original, function)
    return made


def _fitting(function: Callable) -> Callable:
    inner = _fit_context(prefer_skip_nested_validation=True)(function)

    def run(self, *args, **kwargs):
        if hasattr(self, "_skl_callbacks"):
            raise Stay("callbacks see each iteration of scikit-learn's code")
        return inner(self, *args, **kwargs)

    return run


def run_original(self: Any, original: Callable, reason: str, args: tuple, kwargs: dict) -> Any:
    """scikit-learn's code for a call; `reason` is "" where its answer will be an exception."""
    name = type(self).__name__
    if reason:
        HOOK.fall_back(FRAMEWORK, name, original.__name__, reason)
    start = time.perf_counter()
    _STATE.original += 1
    try:
        return original(self, *args, **kwargs)
    finally:
        _STATE.original -= 1
        if _STATE.depth == 0:
            record(self, original.__name__, "original", rows_of(args, kwargs),
                   time.perf_counter() - start, reason or "the input is not valid")


def record(self: Any, call: str, where: str, rows: int, seconds: float, reason: str = "") -> None:
    HOOK.record(FRAMEWORK, type(self).__name__, call, where, rows, seconds, reason=reason)


def outermost() -> bool:
    """Whether a call is nobody else's part: no method of ours and no original around it."""
    return not _STATE.depth and not _STATE.original


def inside_original() -> bool:
    return bool(_STATE.original)


def rows_of(args: tuple, kwargs: dict) -> int:
    x = args[0] if args else kwargs.get("X")
    shape = getattr(x, "shape", None)
    try:
        return int(shape[0]) if shape else len(x)
    except TypeError:
        return 0


def worked_with(x: _native.ml.Matrix) -> None:
    """Notes the numbers of a call for the report."""
    _STATE.kind = "float32" if x.is_f32 else "float64"


def where() -> str:
    return f"{_device(HOOK.policy.device)} {_STATE.kind}".strip()


@functools.lru_cache(maxsize=8)
def _device(name: str) -> str:
    """"cuda" is every GPU, which are listed as cuda:0, cuda:1 ...; "auto" is the processor."""
    known = _native.devices()
    device = next((d for d in known if name in (d.name, d.name.partition(":")[0])), None)
    if device is None:
        name = "cpu"
        device = next(d for d in known if d.name == name)
    return f"{name} {device.isa}".strip()


def new_run(progress: Callable | None = None) -> _native.ml.Run:
    """How a native call runs: the policy's device and threads, else scikit-learn's own number of
    threads, which OMP_NUM_THREADS and joblib set."""
    threads = HOOK.policy.threads or _openmp_effective_n_threads()
    return _native.ml.Run(HOOK.policy.device, threads, progress)


def weights(sample_weight: np.ndarray | None) -> np.ndarray | None:
    """Validated sample weights as the native code takes them: one double a row, not negative."""
    if sample_weight is None:
        return None
    sample_weight = np.ascontiguousarray(sample_weight, dtype=np.float64)
    if sample_weight.size and sample_weight.min() < 0:
        raise Stay("negative sample weights")
    return sample_weight
