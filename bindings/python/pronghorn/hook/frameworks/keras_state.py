# SPDX-License-Identifier: Apache-2.0
"""What is known of each model: rows for its calibration, its twin, or why it has none."""

from __future__ import annotations

import functools
import pathlib
import threading
import time
import weakref
from typing import Any

import numpy as np

from ... import _core, errors
from .. import kept, twin
from . import keras_data, keras_export

_GIVEN_BATCH = 32
_SLOWEST = 12  # nodes in a profile


class Tracker:
    """Every model that was asked something. `generation` counts what may have changed weights."""

    def __init__(self, keras: Any, hook: Any):
        self.keras = keras
        self.hook = hook
        self.generation = 0
        self._lock = threading.Lock()
        self._models: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

    def of(self, model: Any) -> Tracked:
        with self._lock:
            tracked = self._models.get(model)
            if tracked is None:
                tracked = self._models[model] = Tracked(self, model)
            return tracked

    def profile(self) -> list[str]:
        """The nodes of every twin that took most time."""
        lines = []
        for tracked in list(self._models.values()):
            nodes = tracked.profile()
            total = sum(node["seconds"] for node in nodes)
            if total > 0:
                lines.append(f"keras {tracked.name}: {total:.3f} s in {len(nodes)} nodes of its twin")
                for node in sorted(nodes, key=lambda n: -n["seconds"])[:_SLOWEST]:
                    lines.append(f"  {node['seconds'] / total:6.1%} {node['seconds']:9.4f} s"
                                 f"  {node['kernel']:<20} {node['node']}")
        return lines


class Tracked:
    """One model. It is new, calibrating, active (it has a twin) or refused (it has a reason)."""

    def __init__(self, tracker: Tracker, model: Any):
        self._tracker = tracker
        self._keras = tracker.keras
        self._hook = tracker.hook
        self._ref = weakref.ref(model)
        self._lock = threading.RLock()
        self._foreign: dict[tuple, str] = {}
        self.name = model.name
        self._weights: keras_export.Weights | None = None
        self._weights_of = -1  # the generation in which they were listed
        self._forget()

    @property
    def model(self) -> Any:
        return self._ref()

    @functools.cached_property
    def random(self) -> str:
        """Why the original answers calls that do not say training=False; "" when it need not."""
        return keras_data.random_layer(self.model)

    def _forget(self) -> None:
        """Back to new: nothing is known of weights that have changed."""
        self._float: _core.Model | None = None
        self._twin: twin.Twin | None = None
        self._reason = ""
        self._begun = False
        self._token: tuple = ()
        self._digest = ""
        self._rows: list[np.ndarray] = []
        self._expected: list[list[np.ndarray]] = []
        self._seconds: list[float] = []  # of a row, by batch

    # ---- questions

    def refusal(self, *methods: str) -> str:
        """Why the original has to answer the whole call; "" when it may be ours. `methods`: what
        the call would go through besides `call`."""
        if methods not in self._foreign:
            self._foreign[methods] = self._foreign_reason(("call", "__call__", *methods))
        if self._foreign[methods]:
            return self._foreign[methods]
        if reason := keras_data.distributed(self._keras, self.model):
            return reason
        with self._lock:
            self._refresh()
            if not self._begun and self.model.built:
                shape = self.model.inputs[0].shape[1:] if len(self.model.inputs) == 1 else None
                if shape is None:
                    return f"{len(self.model.inputs)} inputs; models of one are accelerated"
                if None not in shape:
                    self._begin(tuple(shape))
            return self._reason

    def choose(self, rows: np.ndarray | None) -> tuple[twin.Twin | None, str]:
        """Who answers these rows: the twin, or nobody of ours and why."""
        if rows is None:
            return None, "an input that is not one array of numbers"
        with self._lock:
            if not self._begun and self.model.built:
                self._begin(rows.shape[1:])
            if self._twin is None:
                return None, self._reason or "calibrating"
            reason = self._twin.objection(rows)
            return (None, reason) if reason else (self._twin, "")

    def profile(self) -> list[dict]:
        return self._twin.session.profile(True) if self._twin is not None else []

    @property
    def reason(self) -> str:
        """Why it was refused; "" when it was not."""
        return self._reason

    @property
    def calibrating(self) -> bool:
        return self._twin is None and not self._reason

    def _foreign_reason(self, methods: tuple[str, ...]) -> str:
        if not isinstance(self.model, keras_data.functional_class() | self._keras.Sequential):
            return "a subclassed model: its layers are not known"
        for name in methods:
            function = getattr(type(self.model), name, None)
            if function is not None and not function.__module__.startswith("keras."):
                if function.__module__ != "keras":
                    return f"its class overrides {name}"
        return ""

    def _refresh(self) -> None:
        """Forgets everything when the weights are not those that it was learned from."""
        if not self._begun:
            return
        token = self._current_token()
        if token == self._token:
            return
        if self._fingerprint() == self._digest:
            self._token = token
            return
        if self._twin is not None:
            self._hook.ledger.note("keras", self.name, "its weights changed: calibrated again")
        self._forget()

    def _current_token(self) -> tuple:
        generation = self._tracker.generation
        if generation != self._weights_of:
            weights, self._weights_of = list(self.model.weights), generation
            if self._weights is None or not self._weights.are(weights):
                self._weights = keras_export.Weights(self._keras, weights)
        return self._weights.token(generation)

    def _fingerprint(self) -> str:
        more = f"{kept.FORMAT} {self._shape}"
        return keras_export.digest(self._keras, self.model, more)

    # ---- learning

    def _begin(self, shape: tuple[int, ...]) -> None:
        """The first look at a model with these weights: a kept twin, or the float graph."""
        self._begun = True
        self._shape = tuple(shape)
        policy = self._hook.policy
        try:
            self._token = self._current_token()
            self._digest = self._fingerprint()
            found = kept.load(self._digest) if policy.keep else None
            if found is not None:
                facts = twin.from_json(found[1]["facts"])
                if self._good(facts):
                    self._use(twin.Twin(found[0], facts, policy), "kept from an earlier run: ")
                    return
            self._float = keras_export.import_model(self._keras, self.model, self._shape)
            if policy.calibration:
                self._learn_given(policy.calibration)
        except twin.Rejected as error:
            self._refuse(str(error))
        except errors.Error as error:
            self._refuse(str(error))

    def _good(self, facts: twin.Facts) -> bool:
        """Whether a kept twin meets this run's policy."""
        policy = self._hook.policy
        return all(value >= policy.min_agreement
                   for measure, value in zip(facts.measure, facts.agreement) if measure == "top-1")

    def learn(self, rows: np.ndarray, expected: list[np.ndarray], seconds: float) -> None:
        """Rows and what the original said to them; with enough of them the twin is made."""
        with self._lock:
            if not self.calibrating or not self._begun:
                return
            if rows.shape[1:] != self._shape or not np.isfinite(rows).all():
                return
            if any(np.shape(e)[:1] != (len(rows),) for e in expected):
                self._refuse("outputs without a row for each row of the input")
                return
            self._rows.append(np.array(rows))
            self._expected.append([np.array(e) for e in expected])
            self._seconds.append(seconds / len(rows))
            if sum(map(len, self._rows)) >= self._hook.policy.calibration_rows:
                self._make()

    def _make(self) -> None:
        batches, self._rows = self._rows, []
        expected, self._expected = self._expected, []
        try:
            made = twin.make(self._float, np.concatenate(batches),
                             [np.concatenate(parts) for parts in zip(*expected)], self._hook.policy,
                             self._original_seconds(batches[0]))
        except twin.Rejected as error:
            self._refuse(str(error))
            return
        except errors.Error as error:
            self._refuse(f"it cannot be quantized: {error}")
            return
        if self._hook.policy.keep:
            kept.save(self._digest, made.model, {"facts": twin.to_json(made.facts)})
        self._use(made, "")

    def _original_seconds(self, batch: np.ndarray) -> float:
        """What the original takes for a row. Its first batch compiles, so that does not count."""
        if len(self._seconds) == 1:
            start = time.perf_counter()
            with self._hook.inside():
                self.model.predict_on_batch(batch)
            return (time.perf_counter() - start) / len(batch)
        return min(self._seconds[1:])

    def _use(self, made: twin.Twin, origin: str) -> None:
        session = made.session  # a device that refuses the graph says so now
        if self._hook.policy.profile:
            session.profile(True)
        self._twin, self._float = made, None
        self._hook.ledger.note("keras", self.name, origin + twin.summary(made.facts))

    def _refuse(self, reason: str) -> None:
        self._reason = reason
        self._float, self._rows, self._expected = None, [], []

    def _learn_given(self, path: str) -> None:
        x = self._given(pathlib.Path(path))
        for first in range(0, len(x), _GIVEN_BATCH):
            rows = np.asarray(x[first:first + _GIVEN_BATCH])
            start = time.perf_counter()
            with self._hook.inside():
                outputs = keras_data.arrays(self._keras, self.model.predict_on_batch(rows))
            seconds = time.perf_counter() - start
            self._hook.record("keras", self.name, "calibration", "original", len(rows), seconds,
                              reason="given calibration data")
            self._rows.append(rows)
            self._expected.append(outputs)
            self._seconds.append(seconds / len(rows))
        self._make()

    def _given(self, path: pathlib.Path) -> np.ndarray:
        """Tensors of a .npy as the model takes them; or photographs, preprocessed as it wants."""
        count = self._hook.policy.calibration_rows
        if path.suffix == ".npy":
            try:
                x = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise twin.Rejected(f"calibration data {path}: {error}") from error
            if x.shape[1:] != self._shape or len(x) == 0:
                raise twin.Rejected(
                    f"calibration data {path} has shape {x.shape}; (n,) + {self._shape} is accepted")
            return x[:count]
        info = self._float.info
        if self._shape != (info.input_height, info.input_height, 3):
            raise twin.Rejected(f"calibration photographs {path}: the model takes {self._shape}")
        if info.preprocess == "none":
            raise twin.Rejected(f"calibration photographs {path}: the model does not name its "
                                "preprocess; a .npy of tensors is accepted")
        source = _core.as_source(str(path))
        mode = f"direct:{info.input_height}"
        pixels = np.stack([source.pixels(i, mode) for i in range(min(len(source), count))])
        x = np.float32(pixels)
        if info.preprocess_inside:
            return x
        x = x[..., ::-1] if info.preprocess_bgr else x
        mean, std = (np.array(v, np.float32) for v in (info.preprocess_mean, info.preprocess_std))
        return np.ascontiguousarray((x - mean) / std)
