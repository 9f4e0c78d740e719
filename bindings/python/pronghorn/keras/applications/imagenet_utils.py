# SPDX-License-Identifier: Apache-2.0
"""Preprocessing and names of classes."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from ... import _core, errors

__all__ = ["decode_predictions", "preprocess_input"]

_FILE = "imagenet_class_index.json"
_CAFFE = np.array([103.939, 116.779, 123.68], np.float32)
_TORCH = (np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32))


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> np.ndarray:
    """Pixels 0 to 255, RGB, channels last, to what networks of ImageNet take; a new float32 array."""
    if data_format not in (None, "channels_last"):
        raise errors.Unsupported(f"data_format {data_format!r}; channels_last is supported")
    x = np.asarray(x)
    if x.ndim < 3 or x.shape[-1] != 3:
        raise errors.InvalidArgument(f"x has shape {x.shape}; (..., height, width, 3) is accepted")
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float32)
    if mode == "caffe":
        return np.ascontiguousarray(x[..., ::-1]) - _CAFFE
    if mode == "tf":
        return x / np.float32(127.5) - np.float32(1)
    if mode == "torch":
        return (x / np.float32(255) - _TORCH[0]) / _TORCH[1]
    raise errors.InvalidArgument(f"mode {mode!r}; 'caffe', 'tf' or 'torch'")


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """[(id, name, score), ...] for each row, best first.

    1000 classes: the names come from the class index that `pronghorn pull resnet50-keras` or Keras
    put on this machine. 200 classes: those of the embedded model."""
    preds = np.asarray(preds)
    if preds.ndim != 2 or preds.shape[1] not in (200, 1000):
        raise errors.InvalidArgument(
            f"preds has shape {preds.shape}; (n, 1000) or (n, 200) is accepted; for other models use "
            "Model.decode_predictions")
    if preds.shape[1] == 200:
        model = _core.Model("tin200")
        return decode_with(preds, model.label_ids, model.labels, top)
    ids, names = _class_index()
    return decode_with(preds, ids, names, top)


def _class_index() -> tuple[list[str], list[str]]:
    from ._build import cache_folder, keras_folder

    places = [os.path.join(folder, _FILE) for folder in (cache_folder(), keras_folder())]
    for path in places:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                index = json.load(file)
            rows = [index[str(i)] for i in range(1000)]
            return [row[0] for row in rows], [row[1] for row in rows]
    raise errors.NotFound(
        f"{places[0]}: the names of ImageNet's classes are not there yet; fetch them once with "
        "`pronghorn pull resnet50-keras`")


def decode_with(preds: Any, ids: list[str], names: list[str],
                top: int) -> list[list[tuple[str, str, float]]]:
    preds = np.asarray(preds)
    if preds.ndim != 2 or preds.shape[1] != len(names):
        raise errors.InvalidArgument(
            f"preds has shape {preds.shape}; (n, {len(names)}) is accepted")
    ids = ids or [""] * len(names)
    result = []
    for row in preds:
        best = np.argsort(-row, kind="stable")[:top]
        result.append([(ids[i], names[i], float(row[i])) for i in best])
    return result
