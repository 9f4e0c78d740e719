# SPDX-License-Identifier: Apache-2.0
"""Keras's iterators over images: the same order, the same labels, the same attributes."""

from __future__ import annotations

import os
import threading
from typing import Any, Callable, Iterable, Sequence

import numpy as np

from ... import errors
from .._random import generator

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff")


class Iterator:
    """Batches of images: `it[i]`, `len(it)`, or endless with `next(it)`. With `shuffle` and a `seed`
    the order is the one that Keras gives."""

    filenames: list[str]
    filepaths: list[str]
    classes: Any
    class_indices: dict[str, int]
    num_classes: int
    image_shape: tuple[int, ...]

    def __init__(self, batch: Callable[[np.ndarray], Any], count: int, batch_size: int, shuffle: bool,
                 seed: int | None):
        if batch_size < 1:
            raise errors.InvalidArgument(f"batch_size is {batch_size}; 1 or more")
        self.n = self.samples = count
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.batch_index = 0
        self.total_batches_seen = 0
        self.index_array: np.ndarray | None = None
        self._batch = batch
        self._lock = threading.Lock()

    def _set_index_array(self) -> np.ndarray:
        if not self.shuffle:
            self.index_array = np.arange(self.n)
        elif self.seed is None:
            self.index_array = generator().permutation(self.n)
        else:
            rng = np.random.RandomState(self.seed + self.total_batches_seen)
            self.index_array = rng.permutation(self.n)
        return self.index_array

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index}; 0 to {len(self) - 1}")
        with self._lock:
            order = self._set_index_array() if self.index_array is None else self.index_array
            self.total_batches_seen += 1
        return self._batch(order[index * self.batch_size : (index + 1) * self.batch_size])

    def on_epoch_end(self) -> None:
        self._set_index_array()

    def reset(self) -> None:
        self.batch_index = 0

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        if self.n == 0:
            raise StopIteration
        with self._lock:
            if self.batch_index == 0 or self.index_array is None:
                self._set_index_array()
            assert self.index_array is not None
            part = self.index_array[self.batch_index * self.batch_size :
                                    (self.batch_index + 1) * self.batch_size]
            self.batch_index = (self.batch_index + 1) % len(self)
            self.total_batches_seen += 1
        return self._batch(part)


def part_of(items: Sequence[Any], subset: str | None, validation_split: float) -> Sequence[Any]:
    """Keras's: the first part is for validation."""
    if subset is None:
        return items
    if subset not in ("training", "validation"):
        raise errors.InvalidArgument(f"subset is {subset!r}; 'training' or 'validation'")
    if not validation_split:
        raise errors.InvalidArgument(
            f"subset={subset!r} needs ImageDataGenerator(validation_split=...)")
    split = int(validation_split * len(items))
    return items[:split] if subset == "validation" else items[split:]


def files_of(folder: str, follow_links: bool) -> list[str]:
    """Images below a folder in Keras's order, relative to it."""
    found = []
    for root, _, names in sorted(os.walk(folder, followlinks=follow_links), key=lambda item: item[0]):
        found += [os.path.relpath(os.path.join(root, name), folder) for name in sorted(names)
                  if name.lower().endswith(EXTENSIONS)]
    return found


def targets(class_mode: str | None, classes: Sequence[Any], number: int, dtype: Any) -> Any:
    """Labels of every image; `classes`: an index for each, or a list of them."""
    if class_mode in ("sparse", "binary"):
        return np.array(classes, dtype)
    rows = np.zeros((len(classes), number), dtype)
    for row, indices in zip(rows, classes):
        row[indices] = 1
    return rows


def known_classes(column: Sequence[Any], wanted: Iterable[str] | None, class_mode: str,
                  y_col: Any) -> tuple[list[int], list[Any], list[str]]:
    """Which rows stay, the labels of those, and the names of all classes in order."""
    kinds: tuple[type, ...] = (str, list, tuple) if class_mode == "categorical" else (str,)
    for value in column:
        if not isinstance(value, kinds):
            raise errors.WrongType(
                f"column {y_col!r} holds a {type(value).__name__}; class_mode={class_mode!r} takes "
                "strings" + (" and lists of them" if class_mode == "categorical" else ""))
    if wanted:
        names = list(dict.fromkeys(wanted))
    else:
        names = sorted({name for v in column for name in ([v] if isinstance(v, str) else v)})
    if class_mode == "binary" and len(names) != 2:
        raise errors.InvalidArgument(f"class_mode='binary' with {len(names)} classes; 2 are accepted")
    keep, labels = [], []
    for i, value in enumerate(column):
        known = [names.index(v) for v in ([value] if isinstance(value, str) else value) if v in names]
        if known:
            keep.append(i)
            labels.append(known[0] if isinstance(value, str) else known)
    return keep, labels, names
