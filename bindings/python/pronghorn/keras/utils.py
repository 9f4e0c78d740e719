# SPDX-License-Identifier: Apache-2.0
"""keras.utils: folders of images as datasets."""

from __future__ import annotations

import os
from typing import Any, Callable, Iterator, Sequence

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

    def __init__(self, batch: Callable[[int], Any], count: int, class_names: list[str] | None,
                 file_paths: list[str]):
        self._batch = batch
        self._count = count
        self.class_names = class_names
        self.file_paths = file_paths

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(f"batch {index}; 0 to {self._count - 1}")
        return self._batch(index)

    def __iter__(self) -> Iterator[Any]:
        return (self._batch(i) for i in range(self._count))

    def map(self, function: Callable[..., Any], **_: Any) -> Dataset:
        def mapped(index: int) -> Any:
            item = self._batch(index)
            return function(*item) if isinstance(item, tuple) else function(item)

        return Dataset(mapped, self._count, self.class_names, self.file_paths)

    def take(self, count: int) -> Dataset:
        return Dataset(self._batch, min(count, self._count), self.class_names, self.file_paths)

    def prefetch(self, *_: Any, **__: Any) -> Dataset:
        return self

    cache = prefetch


def image_dataset_from_directory(
    directory: str | os.PathLike[str], labels: Any = "inferred", label_mode: str | None = "int",
    class_names: Sequence[str] | None = None, color_mode: str = "rgb", batch_size: int | None = 32,
    image_size: Any = (256, 256), shuffle: bool = True, seed: int | None = None,
    validation_split: float | None = None, subset: str | None = None,
    interpolation: str = "bilinear", follow_links: bool = False, crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False, data_format: str | None = None, format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Float32 batches (images, labels) of a folder whose sub-folders are the classes: a `Dataset`, or
    two of them with subset="both". Without `batch_size` single images.

    Resized as tf.image.resize does by default: no antialiasing. With a `seed` the files have Keras's
    shuffled order (tf.data then shuffles its batches once more; here they stay)."""
    if interpolation not in ("bilinear", "nearest"):
        raise errors.Unsupported(f"interpolation {interpolation!r}; 'bilinear' or 'nearest'")
    if data_format not in (None, "channels_last"):
        raise errors.Unsupported(f"data_format {data_format!r}; channels_last is supported")
    if color_mode not in _CHANNELS:
        raise errors.InvalidArgument(f"color_mode {color_mode!r}; one of {sorted(_CHANNELS)}")
    if label_mode not in ("int", "categorical", "binary", None):
        raise errors.InvalidArgument(f"label_mode {label_mode!r}; 'int', 'categorical', 'binary', None")
    if format not in ("tf", "grain"):
        raise errors.InvalidArgument(f"format {format!r}; 'tf' or 'grain', which are the same here")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise errors.InvalidArgument("crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other")
    _check_split(validation_split, subset, shuffle, seed)
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    directory = os.fspath(directory)
    if not os.path.isdir(directory):
        raise errors.NotFound(f"{directory}: no such folder")
    if label_mode is None:
        labels = None
    paths, indices, names = _walk(directory, labels, class_names, follow_links)
    if labels is None:
        label_mode = None
    elif labels != "inferred":
        if len(labels) != len(paths):
            raise errors.InvalidArgument(f"{len(labels)} labels for {len(paths)} images")
        indices, names = np.asarray(labels, np.int32), [str(label) for label in sorted(set(labels))]
    if label_mode == "binary" and len(names or ()) != 2:
        raise errors.InvalidArgument(f"label_mode='binary' with classes {names}; two are accepted")
    if verbose:
        print(f"Found {len(paths)} files" + (f" belonging to {len(names)} classes." if names else "."))
    if shuffle:
        order = np.arange(len(paths))
        first = int(_random.generator().integers(1_000_000)) if seed is None else seed
        np.random.RandomState(first).shuffle(order)
        paths, indices = [paths[i] for i in order], indices[order]
    wanted = _targets(indices, label_mode, len(names or ()))

    def load(path: str) -> np.ndarray:
        return _resized(img_to_array(load_img(path, color_mode)), size, interpolation,
                        crop_to_aspect_ratio, pad_to_aspect_ratio)

    def dataset(part: slice) -> Dataset:
        mine, its = paths[part], None if wanted is None else wanted[part]
        if not mine:
            raise errors.InvalidArgument(f"{directory}: no images ({', '.join(_EXTENSIONS)})")

        def batch(index: int) -> Any:
            if batch_size is None:
                return load(mine[index]) if its is None else (load(mine[index]), its[index])
            few = slice(index * batch_size, (index + 1) * batch_size)
            images = np.stack([load(path) for path in mine[few]])
            return images if its is None else (images, its[few])

        return Dataset(batch, -(-len(mine) // (batch_size or 1)), names, mine)

    split = len(paths) - int((validation_split or 0) * len(paths))
    parts = {"training": slice(0, split), "validation": slice(split, None), None: slice(None)}
    if subset == "both":
        return [dataset(parts["training"]), dataset(parts["validation"])]
    return dataset(parts[subset])


def _check_split(validation_split: float | None, subset: str | None, shuffle: bool,
                 seed: int | None) -> None:
    if subset not in ("training", "validation", "both", None):
        raise errors.InvalidArgument(f"subset {subset!r}; 'training', 'validation' or 'both'")
    if bool(validation_split) != bool(subset):
        raise errors.InvalidArgument("validation_split and subset need each other")
    if validation_split and not 0 < validation_split < 1:
        raise errors.InvalidArgument(f"validation_split is {validation_split}; between 0 and 1")
    if validation_split and shuffle and seed is None:
        raise errors.InvalidArgument("validation_split with shuffle=True needs a seed, so that the parts "
                                     "do not overlap")


def _walk(directory: str, labels: Any, class_names: Sequence[str] | None,
          follow_links: bool) -> tuple[list[str], np.ndarray, list[str] | None]:
    folders = [""]
    names: list[str] | None = None
    if labels == "inferred":
        found = sorted(e for e in os.listdir(directory)
                       if os.path.isdir(os.path.join(directory, e)) and not e.startswith("."))
        if class_names and not set(class_names) <= set(found):
            raise errors.InvalidArgument(f"class_names {class_names} are not all among the folders {found}")
        folders = names = list(class_names) if class_names else found
    elif class_names is not None:
        raise errors.InvalidArgument("class_names is for labels='inferred'")
    paths, indices = [], []
    for index, folder in enumerate(folders):
        walk = os.walk(os.path.join(directory, folder), followlinks=follow_links)
        for root, _, files in sorted(walk, key=lambda item: item[0]):
            for file in sorted(files):
                if file.lower().endswith(_EXTENSIONS):
                    paths.append(os.path.join(root, file))
                    indices.append(index)
    return paths, np.array(indices, np.int32), names


def _targets(indices: np.ndarray, label_mode: str | None, classes: int) -> np.ndarray | None:
    if label_mode is None:
        return None
    if label_mode == "categorical":
        return np.eye(classes, dtype=np.float32)[indices]
    if label_mode == "binary":
        return indices.astype(np.float32)[:, np.newaxis]
    return indices


def _resized(x: np.ndarray, size: tuple[int, int], interpolation: str, crop: bool,
             pad: bool) -> np.ndarray:
    h, w = x.shape[:2]
    if crop:
        crop_h = max(min(h, int(w * size[0] / size[1])), 1)
        crop_w = max(min(w, int(h * size[1] / size[0])), 1)
        top, left = (h - crop_h) // 2, (w - crop_w) // 2
        x = x[top : top + crop_h, left : left + crop_w]
    if not pad:
        return _stretched(x, size, interpolation)
    # As tf.image.resize_with_pad: the whole image in the middle, zeros around it.
    ratio = max(w / size[1], h / size[0])
    inside = (int(h / ratio), int(w / ratio))
    result = np.zeros((*size, x.shape[2]), np.float32 if interpolation != "nearest" else np.uint8)
    top, left = (max(0, int((n - m) / 2)) for n, m in zip(size, (h / ratio, w / ratio)))
    result[top : top + inside[0], left : left + inside[1]] = _stretched(x, inside, interpolation)
    return result


def _stretched(x: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    for axis in (0, 1):
        n, out = x.shape[axis], size[axis]
        if n == out:
            continue
        if interpolation == "nearest":
            at = np.floor((np.arange(out) + 0.5) * (n / out)).astype(int)
            x = np.take(x, np.minimum(at, n - 1), axis)
            continue
        at = (np.arange(out) + 0.5) * (n / out) - 0.5
        low = np.floor(at).astype(int)
        part = (at - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        first = np.take(x, np.clip(low, 0, n - 1), axis)
        x = first + (np.take(x, np.clip(low + 1, 0, n - 1), axis) - first) * part
    return x.astype(np.uint8 if interpolation == "nearest" else np.float32)
