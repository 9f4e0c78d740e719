# SPDX-License-Identifier: Apache-2.0
"""keras.Model under the hook: predict, predict_on_batch, evaluate and calls in inference.

The first rows of a model are answered by the original and kept; once there are enough, its INT8
twin is made from them, checked, and answers from then on, until a weight changes.
"""

from __future__ import annotations

import contextlib
import time
from types import ModuleType
from typing import Any, Callable, Iterator

import numpy as np

from . import keras_data
from .keras_export import watch_assignments
from .keras_state import Tracked, Tracker

_ORIGINAL = "original"


def attach(keras: ModuleType, hook: Any) -> None:
    """Replaces methods of keras.Model. Raises ImportError when this Keras is not known to us."""
    if not hasattr(keras, "ops") or not keras_data.known(keras):
        raise ImportError(f"Keras 3.9 or newer is accepted, not {getattr(keras, '__version__', '?')}")
    Doors(keras, hook).open()


class Doors:
    """The methods of keras.Model that are ours while the hook is installed."""

    def __init__(self, keras: ModuleType, hook: Any):
        self.keras = keras
        self.hook = hook
        self.tracker = Tracker(keras, hook)

    def open(self) -> None:
        patch, model = self.hook.patch, self.keras.Model
        patch(model, "predict", self._predict)
        patch(model, "predict_on_batch", self._predict_on_batch)
        patch(model, "evaluate", self._evaluate)
        patch(model, "__call__", self._call)
        for name in ("fit", "train_on_batch", "load_weights", "compile", "quantize"):
            # Where it is defined: load_model compiles no model whose class has a compile of its own.
            owner = next((c for c in model.__mro__ if name in vars(c)), model)
            patch(owner, name, self._changes)
        patch(self.keras.Variable, "assign", watch_assignments)
        self.hook.profiles.append(self.tracker.profile)

    def _changes(self, original: Callable) -> Callable:
        """A method that may change weights or the architecture."""

        def method(model, *args, **kwargs):
            try:
                with self.hook.inside():
                    return original(model, *args, **kwargs)
            finally:
                self.tracker.generation += 1

        return method

    def _predict(self, original: Callable) -> Callable:
        def predict(model, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
            def whole():
                return original(model, x, batch_size=batch_size, verbose=verbose, steps=steps,
                                callbacks=callbacks)

            if not self.hook.active:
                return whole()
            tracked = self.tracker.of(model)
            if reason := tracked.refusal("predict_step", "make_predict_function"):
                return self._original(tracked, "predict", whole, keras_data.row_count, reason)
            plain = keras_data.plain_array(self.keras, model, x, batch_size, steps)
            if plain and verbose == 0 and not callbacks:
                model.stop_predicting = False
                with self._answers(tracked, "predict") as answer:
                    return self._joined(model, [answer(part)
                                                for part in keras_data.slices(x, batch_size)])
            run = keras_data.Run(self.keras, model, "predict", verbose, callbacks)
            batches = (run.batches_of(keras_data.slices(x, batch_size)) if plain
                       else run.batches(x, None, None, batch_size, steps))
            parts: list[list[np.ndarray]] = []
            with self._answers(tracked, "predict") as answer:
                for data in batches:
                    parts.append(answer(run.inputs(data)[0]))
                    run.batch_done({"outputs": keras_data.pack(
                        self.keras, model, keras_data.tensors(self.keras, parts[-1]))
                    } if callbacks else None)
                run.done(None)
            if not parts:
                return whole()  # says what is wrong with x
            return self._joined(model, parts)

        return predict

    def _joined(self, model: Any, parts: list[list[np.ndarray]]) -> Any:
        """The outputs of every batch as one call gives them."""
        return keras_data.pack(self.keras, model, [
            p[0] if len(p) == 1 else np.concatenate(p) for p in zip(*parts)])

    def _predict_on_batch(self, original: Callable) -> Callable:
        def predict_on_batch(model, x):
            if not self.hook.active:
                return original(model, x)
            tracked = self.tracker.of(model)
            if reason := tracked.refusal("predict_step", "make_predict_function"):
                return self._original(tracked, "predict_on_batch", lambda: original(model, x),
                                      keras_data.row_count, reason)
            with self._answers(tracked, "predict_on_batch") as answer:
                return keras_data.pack(self.keras, model, answer(x))

        return predict_on_batch

    def _evaluate(self, original: Callable) -> Callable:
        def evaluate(model, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None,
                     steps=None, callbacks=None, return_dict=False, **kwargs):
            def whole():
                return original(model, x, y, batch_size=batch_size, verbose=verbose,
                                sample_weight=sample_weight, steps=steps, callbacks=callbacks,
                                return_dict=return_dict, **kwargs)

            if not self.hook.active or kwargs or not getattr(model, "compiled", False):
                return whole()
            tracked = self.tracker.of(model)
            reason = (tracked.refusal("test_step", "make_test_function")
                      or keras_data.extra_losses(model))
            if reason:
                return self._original(tracked, "evaluate", whole, lambda _: keras_data.rows_of(x),
                                      reason)
            run = keras_data.Run(self.keras, model, "test", verbose, callbacks)
            scores = keras_data.Scores(self.keras, model)
            seen = False
            with self._answers(tracked, "evaluate") as answer:
                for data in run.batches(x, y, sample_weight, batch_size, steps):
                    inputs, labels, weights = run.inputs(data)
                    run.batch_done(scores.add(inputs, labels, answer(inputs), weights))
                    seen = True
                if not seen:
                    return whole()
                logs = scores.result()
                run.done(logs)
            return logs if return_dict else model._flatten_metrics_in_order(logs)

        return evaluate

    def _call(self, original: Callable) -> Callable:
        def __call__(model, *args, **kwargs):
            # Most calls are those of training, tracing and building: they must not wait for us.
            if (not self.hook.active or len(args) != 1 or kwargs.get("training")
                    or any(kwargs[name] is not None for name in kwargs if name != "training")):
                return original(model, *args, **kwargs)
            why_not = keras_data.concrete(self.keras, args[0])
            if why_not is None:
                return original(model, *args, **kwargs)

            def whole():
                return original(model, *args, **kwargs)

            tracked = self.tracker.of(model)
            if not why_not and kwargs.get("training") is None:
                why_not = tracked.random
            if why_not:
                return self._original(tracked, "__call__", whole, keras_data.row_count, why_not,
                                      forbidden=False)
            if reason := tracked.refusal():
                return self._original(tracked, "__call__", whole, keras_data.row_count, reason)
            with self._answers(tracked, "__call__") as answer:
                outputs = answer(args[0], whole)
            return keras_data.pack(self.keras, model, keras_data.tensors(self.keras, outputs))

        return __call__

    # ---- who answers

    def _original(self, tracked: Tracked, call: str, whole: Callable, count: Callable, reason: str,
                  forbidden: bool = True) -> Any:
        """The original answers a whole call."""
        if forbidden:
            self.hook.fall_back("keras", tracked.name, call, reason)
        start = time.perf_counter()
        with self.hook.inside():
            result = whole()
        self.hook.record("keras", tracked.name, call, _ORIGINAL, count(result),
                         time.perf_counter() - start, reason=reason)
        return result

    @contextlib.contextmanager
    def _answers(self, tracked: Tracked, call: str) -> Iterator[Callable]:
        """A function from a batch to its outputs; at the end the call is counted, once for each
        place where its batches ran."""
        totals: dict[tuple[str, str], list] = {}

        def count(where: str, reason: str, rows: int, seconds: float, each: float | None) -> None:
            total = totals.setdefault((where, reason), [0, 0.0, 0.0 if each is not None else None])
            total[0] += rows
            total[1] += seconds
            if each is not None:
                total[2] += each * rows

        def answer(x: Any, original: Callable | None = None) -> list[np.ndarray]:
            rows = keras_data.array_of(self.keras, tracked.model, x)
            twin, reason = tracked.choose(rows)
            start = time.perf_counter()
            if twin is not None:
                outputs = keras_data.as_model_gives(tracked.model, twin.run(rows))
                count(twin.where, "", len(rows), time.perf_counter() - start,
                      twin.facts.original_seconds_per_row)
                return outputs
            if not tracked.calibrating:
                self.hook.fall_back("keras", tracked.name, call, reason)
            with self.hook.inside():
                result = original() if original else tracked.model.predict_on_batch(x)
            outputs = keras_data.arrays(self.keras, result)
            seconds = time.perf_counter() - start
            count(_ORIGINAL, reason, len(outputs[0]) if np.ndim(outputs[0]) else 1, seconds, None)
            if rows is not None:
                tracked.learn(rows, outputs, seconds)
                if tracked.reason:  # these were the rows that decided it
                    self.hook.fall_back("keras", tracked.name, call, tracked.reason)
            return outputs

        try:
            yield answer
        finally:
            call_seconds = sum(total[1] for total in totals.values())
            for (where, reason), (rows, seconds, original_seconds) in totals.items():
                self.hook.record("keras", tracked.name, call, where, rows, seconds, reason=reason,
                                 original_seconds=original_seconds, call_seconds=call_seconds)
