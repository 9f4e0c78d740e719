# SPDX-License-Identifier: Apache-2.0
"""The INT8 twin of a float model: made from rows that the original has answered, checked on them."""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
import time
from typing import Any

import numpy as np

from .. import _core
from .policy import Policy

# Inputs may leave the range seen in calibration by this part of it; integers would clip the rest.
_RANGE_MARGIN = 0.25
# Outputs that are not a row of classes are compared by their signal to noise ratio instead.
_LEAST_SNR_DB = 20.0


class Rejected(Exception):
    """A model stays on the original; the message is the reason."""


@dataclasses.dataclass
class Facts:
    """What a twin needs beside its graph, and what is known of it. Goes to JSON and back."""

    tails: list[list[int]]  # shape of each output without the rows
    low: float = 0.0  # of the inputs that calibrated it
    high: float = 0.0
    mean: list[float] | None = None  # layers in front of the graph, done here: (x - mean) / std
    std: list[float] | None = None
    bgr: bool = False
    rows: int = 0
    agreement: list[float] = dataclasses.field(default_factory=list)  # per output; top-1, or dB
    measure: list[str] = dataclasses.field(default_factory=list)  # per output: "top-1" or "dB"
    original_seconds_per_row: float | None = None
    twin_seconds_per_row: float | None = None
    prepare_seconds: float = 0.0


class Twin:
    """Runs where the policy's device is. May be used from many threads, and after a fork."""

    def __init__(self, model: _core.Model, facts: Facts, policy: Policy):
        self.model = model
        self.facts = facts
        self._policy = policy
        self._lock = threading.Lock()
        self._session: _core.Session | None = None
        self._owner = 0
        shape = model.input_shape
        self.input_shape: tuple[int, ...] = shape[2:] if shape[:2] == (1, 1) else shape

    @property
    def session(self) -> _core.Session:
        if self._session is None or self._owner != os.getpid():
            with self._lock:
                if self._session is None or self._owner != os.getpid():
                    self._session = _core.Session(
                        self.model, self._policy.device, self._policy.threads)
                    self._owner = os.getpid()
        return self._session

    @functools.cached_property
    def where(self) -> str:
        device = self.session.device
        return f"{device.name} {device.isa} INT8".replace("  ", " ")

    def objection(self, x: np.ndarray) -> str:
        """Why the original must answer these rows; "" when it need not."""
        if x.shape[1:] != self.input_shape:
            return f"rows of shape {x.shape[1:]}; it was calibrated with {self.input_shape}"
        if x.dtype.kind not in "buif":
            return f"dtype {x.dtype}"
        if len(x) == 0:
            return "no rows"
        low, high = float(x.min()), float(x.max())
        if not low - high <= 0:  # a NaN fails every comparison; infinities are outside below
            return "NaN in the input"
        span = _RANGE_MARGIN * (self.facts.high - self.facts.low)
        if low < self.facts.low - span or high > self.facts.high + span:
            return "values outside the range of the calibration rows"
        return ""

    def run(self, x: np.ndarray) -> list[np.ndarray]:
        """Every output, float32, in the original's shapes."""
        x = prepared(x, self.facts)
        outputs = [self.session.run(x)] if len(self.facts.tails) == 1 else self.session.run_all(x)
        return [o.reshape(len(x), *tail) for o, tail in zip(outputs, self.facts.tails)]


def prepared(x: np.ndarray, facts: Facts) -> np.ndarray:
    """Rows as the graph takes them: float32, after the layers that the importer took off."""
    x = np.asarray(x, np.float32)
    if facts.mean is None:
        return x
    if facts.bgr:
        x = x[..., ::-1]
    return (x - np.array(facts.mean, np.float32)) / np.array(facts.std, np.float32)


def facts_of(model: _core.Model, tails: list[list[int]]) -> Facts:
    info = model.info
    facts = Facts(tails)
    if info.preprocess_inside:
        facts.mean, facts.std = list(info.preprocess_mean), list(info.preprocess_std)
        facts.bgr = bool(info.preprocess_bgr)
    return facts


def make(model: _core.Model, x: np.ndarray, expected: list[np.ndarray], policy: Policy,
         original_seconds_per_row: float | None) -> Twin:
    """Quantizes `model`, calibrated on the rows `x`, and holds it against `expected`, the
    original's outputs for them. Raises Rejected with the reason, or errors.Error."""
    start = time.perf_counter()
    facts = facts_of(model, [list(e.shape[1:]) for e in expected])
    if len(model.outputs) != len(expected):
        raise Rejected(f"{len(model.outputs)} outputs after the import, {len(expected)} before it")
    low, high = float(x.min()), float(x.max())
    if not np.isfinite(high - low):
        raise Rejected("NaN or infinity in the calibration rows")
    facts.low, facts.high, facts.rows = low, high, len(x)
    result = _core.quantize(model, prepared(x, facts), report=False, threads=policy.threads)
    twin = Twin(result.model, facts, policy)
    sizes = [o.height * o.width * o.channels for o in model.outputs]
    wanted = [int(np.prod(tail)) for tail in facts.tails]
    if sizes != wanted:
        raise Rejected(f"outputs of {sizes} elements after the import, {wanted} before it")
    facts.prepare_seconds = time.perf_counter() - start
    _check(twin, x, expected, policy)
    facts.original_seconds_per_row = original_seconds_per_row
    facts.twin_seconds_per_row = _time(twin, x)
    if original_seconds_per_row is not None and policy.min_speedup > 0:
        factor = original_seconds_per_row / facts.twin_seconds_per_row
        if factor < policy.min_speedup:
            raise Rejected(
                f"not fast enough: {factor:.2f} times the original's {1 / original_seconds_per_row:.0f}"
                f" rows/s, min_speedup is {policy.min_speedup:g}")
    return twin


def _check(twin: Twin, x: np.ndarray, expected: list[np.ndarray], policy: Policy) -> None:
    for i, (ours, theirs) in enumerate(zip(twin.run(x), expected)):
        measure, value = compare(ours, theirs)
        twin.facts.measure.append(measure)
        twin.facts.agreement.append(value)
        least = policy.min_agreement if measure == "top-1" else _LEAST_SNR_DB
        if not value >= least:
            which = f"output {i}: " if len(expected) > 1 else ""
            text = (f"top-1 agreement {value:.3f} on {len(x)} rows is below {least:g}"
                    if measure == "top-1" else
                    f"{value:.1f} dB signal to noise on {len(x)} rows are below {least:g}")
            raise Rejected(which + text)


def compare(ours: np.ndarray, theirs: np.ndarray) -> tuple[str, float]:
    """("top-1", fraction of rows with the same top class) where a row is a vector of classes; else
    ("dB", signal to noise ratio)."""
    if theirs.ndim == 2 and theirs.shape[1] > 1:
        return "top-1", float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
    noise = float(np.square(np.float64(ours) - np.float64(theirs)).sum())
    signal = float(np.square(np.float64(theirs)).sum())
    if noise == 0:
        return "dB", 200.0
    return "dB", 10 * float(np.log10(max(signal, 1e-300) / noise))


def _time(twin: Twin, x: np.ndarray) -> float:
    """Seconds a row, the best of a few batches like those that calibrated it."""
    batch = np.ascontiguousarray(x[:32])
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        twin.run(batch)
        best = min(best, time.perf_counter() - start)
    return best / len(batch)


def summary(facts: Facts) -> str:
    """One line for the report."""
    parts = [f"top-1 agreement {a:.3f}" if m == "top-1" else f"{a:.1f} dB"
             for m, a in zip(facts.measure, facts.agreement)]
    return f"INT8 checked on {facts.rows} rows: {', '.join(parts)}; made in {facts.prepare_seconds:.1f} s"


def to_json(facts: Facts) -> dict[str, Any]:
    return dataclasses.asdict(facts)


def from_json(values: dict[str, Any]) -> Facts:
    names = {field.name for field in dataclasses.fields(Facts)}
    return Facts(**{name: value for name, value in values.items() if name in names})
