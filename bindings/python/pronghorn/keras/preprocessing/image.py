# SPDX-License-Identifier: Apache-2.0
"""keras.preprocessing.image: photographs to arrays, with Keras's defaults. Order is kept."""

from __future__ import annotations

import os

import numpy as np

from ... import errors
from .._random import generator

__all__ = ["ImageDataGenerator", "array_to_img", "img_to_array", "load_img"]

_EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff")
_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}


def load_img(path, color_mode="rgb", target_size=None, interpolation="nearest",
             keep_aspect_ratio=False):
    """A PIL image; `target_size` is (height, width)."""
    from PIL import Image

    filters = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR,
               "bicubic": Image.Resampling.BICUBIC, "hamming": Image.Resampling.HAMMING,
               "box": Image.Resampling.BOX, "lanczos": Image.Resampling.LANCZOS}
    if color_mode not in _MODES:
        raise errors.InvalidArgument(f"color_mode {color_mode!r}; 'rgb', 'rgba' or 'grayscale'")
    if interpolation not in filters:
        raise errors.InvalidArgument(f"interpolation {interpolation!r}; one of {sorted(filters)}")
    image = Image.open(path)
    image.load()
    if image.mode != _MODES[color_mode]:
        image = image.convert(_MODES[color_mode])
    if target_size is None:
        return image
    height, width = target_size
    if image.size == (width, height):
        return image
    if not keep_aspect_ratio:
        return image.resize((width, height), filters[interpolation])
    w, h = image.size
    crop_h, crop_w = min(h, w * height // width), min(w, h * width // height)
    left, top = (w - crop_w) // 2, (h - crop_h) // 2
    box = (left, top, left + crop_w, top + crop_h)
    return image.resize((width, height), filters[interpolation], box=box)


def img_to_array(img, data_format=None, dtype=None):
    """(height, width, channels) float32 of a PIL image."""
    if data_format not in (None, "channels_last"):
        raise errors.Unsupported(f"data_format {data_format!r}; channels_last is supported")
    x = np.asarray(img, dtype=dtype or np.float32)
    if x.ndim == 2:
        x = x[:, :, np.newaxis]
    if x.ndim != 3:
        raise errors.InvalidArgument(f"img has shape {x.shape}; (height, width[, channels])")
    return x


def array_to_img(x, data_format=None, scale=True, dtype=None):
    """A PIL image of an array; `scale` spreads its values over 0 to 255."""
    from PIL import Image

    x = img_to_array(x, data_format, dtype)
    if scale:
        x = x - x.min()
        most = x.max()
        x = x / most * 255 if most else x
    x = x.astype(np.uint8)
    return Image.fromarray(x[:, :, 0] if x.shape[2] == 1 else x)


class Iterator:
    """Batches of images: `it[i]`, `len(it)`, or endless with `next(it)`, as Keras's iterators."""

    def __init__(self, generator_, load, count, labels, batch_size, shuffle, seed):
        if batch_size < 1:
            raise errors.InvalidArgument(f"batch_size is {batch_size}; 1 or more")
        self.n = self.samples = count
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self._generator = generator_
        self._load = load
        self._labels = labels
        self._next = 0
        self._epoch = 0
        self.index_array = np.arange(count)
        self._set_order()

    def _set_order(self) -> None:
        if self.shuffle:
            rng = generator() if self.seed is None else np.random.default_rng(self.seed + self._epoch)
            self.index_array = rng.permutation(self.n)

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, index: int):
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index}; 0 to {len(self) - 1}")
        part = self.index_array[index * self.batch_size : (index + 1) * self.batch_size]
        images = np.stack([self._generator.standardize(self._load(i)) for i in part])
        return images if self._labels is None else (images, self._labels[part])

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._set_order()

    def reset(self) -> None:
        self._next = 0

    def __iter__(self):
        return self

    def __next__(self):
        batch = self[self._next]
        self._next += 1
        if self._next == len(self):
            self._next = 0
            self.on_epoch_end()
        return batch


class ImageDataGenerator:
    """`rescale` and `preprocessing_function`; augmentation is for training and refused."""

    def __init__(self, rescale=None, preprocessing_function=None, data_format=None,
                 validation_split=0.0, dtype=None, **augmentation):
        wrong = [name for name, value in augmentation.items() if value not in (0, 0.0, False, None)
                 and (name, value) not in (("fill_mode", "nearest"), ("zca_epsilon", 1e-6))]
        if wrong:
            raise errors.Unsupported(
                f"ImageDataGenerator({', '.join(sorted(wrong))}): augmentation is for training; rescale "
                "and preprocessing_function are supported")
        if validation_split:
            raise errors.Unsupported("validation_split: list the files of each part instead")
        if data_format not in (None, "channels_last"):
            raise errors.Unsupported(f"data_format {data_format!r}; channels_last is supported")
        self.rescale = rescale
        self.preprocessing_function = preprocessing_function
        self.dtype = dtype or np.float32

    def standardize(self, x):
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        if self.rescale is not None:
            x = x * self.rescale
        return np.asarray(x, self.dtype)

    def flow(self, x, y=None, batch_size=32, shuffle=True, seed=None, **_):
        x = np.asarray(x)
        if y is not None and len(y) != len(x):
            raise errors.InvalidArgument(f"{len(y)} labels for {len(x)} images")
        labels = None if y is None else np.asarray(y)
        return Iterator(self, lambda i: np.array(x[i], self.dtype), len(x), labels, batch_size,
                        shuffle, seed)

    def flow_from_directory(self, directory, target_size=(256, 256), color_mode="rgb", classes=None,
                            class_mode="categorical", batch_size=32, shuffle=True, seed=None,
                            save_to_dir=None, save_prefix="", save_format="png",
                            follow_links=False, subset=None, interpolation="nearest",
                            keep_aspect_ratio=False):
        """Images of the sub-folders of `directory`, which are the classes, both in sorted order."""
        _refuse_saving(save_to_dir, subset)
        directory = os.fspath(directory)
        if not os.path.isdir(directory):
            raise errors.NotFound(f"{directory}: no such folder")
        names = list(classes) if classes else sorted(
            entry for entry in os.listdir(directory) if os.path.isdir(os.path.join(directory, entry)))
        files, indices = [], []
        for index, name in enumerate(names):
            for root, folders, entries in os.walk(os.path.join(directory, name),
                                                  followlinks=follow_links):
                folders.sort()
                for entry in sorted(entries):
                    if entry.lower().endswith(_EXTENSIONS):
                        files.append(os.path.relpath(os.path.join(root, entry), directory))
                        indices.append(index)
        print(f"Found {len(files)} images belonging to {len(names)} classes.")
        paths = [os.path.join(directory, file) for file in files]
        return self._files(paths, files, np.array(indices, np.int32), names, target_size, color_mode,
                           class_mode, batch_size, shuffle, seed, interpolation, keep_aspect_ratio)

    def flow_from_dataframe(self, dataframe, directory=None, x_col="filename", y_col="class",
                            weight_col=None, target_size=(256, 256), color_mode="rgb", classes=None,
                            class_mode="categorical", batch_size=32, shuffle=True, seed=None,
                            save_to_dir=None, save_prefix="", save_format="png", subset=None,
                            interpolation="nearest", validate_filenames=True,
                            keep_aspect_ratio=False):
        """Images named by a column of a pandas DataFrame (or a dict of lists), in its order."""
        _refuse_saving(save_to_dir, subset)
        if weight_col is not None:
            raise errors.Unsupported("weight_col: give evaluate its sample_weight instead")
        files = [os.fspath(file) for file in dataframe[x_col]]
        keep = list(range(len(files)))
        paths = [os.path.join(directory, file) if directory else file for file in files]
        if validate_filenames:
            keep = [i for i in keep if os.path.isfile(paths[i])
                    and paths[i].lower().endswith(_EXTENSIONS)]
        labels, names = None, []
        if class_mode in ("categorical", "sparse", "binary"):
            column = [list(dataframe[y_col])[i] for i in keep]
            names = list(classes) if classes else sorted(set(column))
            labels = np.array([names.index(c) for c in column], np.int32)
        elif class_mode == "raw":
            labels = np.array([list(dataframe[y_col])[i] for i in keep])
        print(f"Found {len(keep)} validated image filenames"
              + (f" belonging to {len(names)} classes." if names else "."))
        return self._files([paths[i] for i in keep], [files[i] for i in keep], labels, names,
                           target_size, color_mode, class_mode, batch_size, shuffle, seed,
                           interpolation, keep_aspect_ratio)

    def _files(self, paths, files, indices, names, target_size, color_mode, class_mode, batch_size,
               shuffle, seed, interpolation, keep_aspect_ratio):
        def load(i):
            return img_to_array(load_img(paths[i], color_mode, target_size, interpolation,
                                         keep_aspect_ratio), dtype=self.dtype)

        if class_mode in ("sparse", "raw"):
            labels = indices
        elif class_mode == "binary":
            labels = indices.astype(np.float32)
        elif class_mode == "categorical":
            labels = np.eye(max(len(names), 1), dtype=np.float32)[indices]
        elif class_mode is None:
            labels = None
        else:
            raise errors.InvalidArgument(
                f"class_mode {class_mode!r}; 'categorical', 'binary', 'sparse', 'raw' or None")
        iterator = Iterator(self, load, len(paths), labels, batch_size, shuffle, seed)
        iterator.filenames = files
        iterator.filepaths = paths
        iterator.classes = indices
        iterator.class_indices = {name: i for i, name in enumerate(names)}
        iterator.num_classes = len(names)
        iterator.image_shape = (*target_size, {"rgb": 3, "rgba": 4, "grayscale": 1}[color_mode])
        return iterator


def _refuse_saving(save_to_dir, subset) -> None:
    if save_to_dir is not None or subset is not None:
        raise errors.Unsupported("save_to_dir and subset are for training")
