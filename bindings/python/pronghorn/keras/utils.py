# SPDX-License-Identifier: Apache-2.0
"""keras.utils: folders of images as datasets."""

from __future__ import annotations

import os
from typing import Callable

import numpy as np

from .. import errors
from . import _random
from .preprocessing.image import array_to_img, img_to_array, load_img

__all__ = ["Dataset", "array_to_img", "image_dataset_from_directory", "img_to_array", "load_img",
           "set_random_seed"]

_EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1}


def set_random_seed(seed: int) -> None:
    """Random initial weights and shuffles begin again here."""
    _random.seed(seed)


class Dataset:
    """Batches, in order; what `image_dataset_from_directory` gives. `file_paths`, `class_names`."""

    def __init__(self, batch: Callable[[int], object], count: int, class_names, file_paths):
        self._batch = batch
        self._count = count
        self.class_names = class_names
        self.file_paths = file_paths

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int):
        if not 0 <= index < self._count:
            raise IndexError(f"batch {index}; 0 to {self._count - 1}")
        return self._batch(index)

    def __iter__(self):
        return (self._batch(i) for i in range(self._count))

    def map(self, function, **_) -> Dataset:
        def mapped(index):
            item = self._batch(index)
            return function(*item) if isinstance(item, tuple) else function(item)

        return Dataset(mapped, self._count, self.class_names, self.file_paths)

    def take(self, count: int) -> Dataset:
        return Dataset(self._batch, min(count, self._count), self.class_names, self.file_paths)

    def prefetch(self, *_, **__) -> Dataset:
        return self

    cache = prefetch


def image_dataset_from_directory(
    directory, labels="inferred", label_mode="int", class_names=None, color_mode="rgb",
    batch_size=32, image_size=(256, 256), shuffle=True, seed=None, validation_split=None,
    subset=None, interpolation="bilinear", follow_links=False, crop_to_aspect_ratio=False,
    pad_to_aspect_ratio=False, data_format=None, verbose=True,
) -> Dataset:
    """Float32 batches (images, labels) of a folder whose sub-folders are the classes.

    Resized as tf.image.resize does by default: no antialiasing."""
    if validation_split or subset or pad_to_aspect_ratio:
        raise errors.Unsupported("validation_split, subset and pad_to_aspect_ratio")
    if interpolation not in ("bilinear", "nearest"):
        raise errors.Unsupported(f"interpolation {interpolation!r}; 'bilinear' or 'nearest'")
    if data_format not in (None, "channels_last"):
        raise errors.Unsupported(f"data_format {data_format!r}; channels_last is supported")
    if color_mode not in _CHANNELS:
        raise errors.InvalidArgument(f"color_mode {color_mode!r}; one of {sorted(_CHANNELS)}")
    if label_mode not in ("int", "categorical", "binary", None):
        raise errors.InvalidArgument(f"label_mode {label_mode!r}; 'int', 'categorical', 'binary', None")
    directory = os.fspath(directory)
    if not os.path.isdir(directory):
        raise errors.NotFound(f"{directory}: no such folder")
    paths, indices, names = _walk(directory, labels, class_names, follow_links)
    if not paths:
        raise errors.InvalidArgument(f"{directory}: no images ({', '.join(_EXTENSIONS)})")
    if labels is None:
        label_mode = None
    elif labels != "inferred":
        if len(labels) != len(paths):
            raise errors.InvalidArgument(f"{len(labels)} labels for {len(paths)} images")
        indices = np.asarray(labels)
    if verbose:
        print(f"Found {len(paths)} files" + (f" belonging to {len(names)} classes." if names else "."))
    if shuffle:
        rng = _random.generator() if seed is None else np.random.default_rng(seed)
        order = rng.permutation(len(paths))
        paths, indices = [paths[i] for i in order], indices[order]
    targets = _targets(indices, label_mode, len(names))
    size = len(paths) if batch_size is None else batch_size

    def batch(index):
        part = slice(index * size, (index + 1) * size)
        images = np.stack([
            _resized(img_to_array(load_img(p, color_mode)), image_size, interpolation,
                     crop_to_aspect_ratio) for p in paths[part]])
        return images if targets is None else (images, targets[part])

    return Dataset(batch, -(-len(paths) // size), names, paths)


def _walk(directory, labels, class_names, follow_links):
    folders = [""]
    names: list[str] = []
    if labels == "inferred":
        found = sorted(e for e in os.listdir(directory) if os.path.isdir(os.path.join(directory, e)))
        if class_names and set(class_names) != set(found):
            raise errors.InvalidArgument(f"class_names {class_names} differ from the folders {found}")
        folders = names = list(class_names) if class_names else found
    paths, indices = [], []
    for index, folder in enumerate(folders):
        for root, inner, files in os.walk(os.path.join(directory, folder), followlinks=follow_links):
            inner.sort()
            for file in sorted(files):
                if file.lower().endswith(_EXTENSIONS):
                    paths.append(os.path.join(root, file))
                    indices.append(index)
    return paths, np.array(indices, np.int32), names


def _targets(indices, label_mode, classes):
    if label_mode is None:
        return None
    if label_mode == "categorical":
        return np.eye(classes, dtype=np.float32)[indices]
    if label_mode == "binary":
        return indices.astype(np.float32)[:, np.newaxis]
    return indices


def _resized(x: np.ndarray, size, interpolation, crop) -> np.ndarray:
    if crop:
        h, w = x.shape[:2]
        crop_h = min(h, int(w * size[0] / size[1]))
        crop_w = min(w, int(h * size[1] / size[0]))
        top, left = (h - crop_h) // 2, (w - crop_w) // 2
        x = x[top : top + crop_h, left : left + crop_w]
    for axis in (0, 1):
        n, out = x.shape[axis], size[axis]
        if n == out:
            continue
        at = (np.arange(out) + 0.5) * (n / out)
        if interpolation == "nearest":
            x = np.take(x, np.minimum(np.floor(at).astype(int), n - 1), axis)
            continue
        at -= 0.5
        low = np.floor(at).astype(int)
        part = (at - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        first = np.take(x, np.clip(low, 0, n - 1), axis)
        x = first + (np.take(x, np.clip(low + 1, 0, n - 1), axis) - first) * part
    return x.astype(np.float32)
