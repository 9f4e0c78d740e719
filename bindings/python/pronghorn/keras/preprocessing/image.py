# SPDX-License-Identifier: Apache-2.0
"""keras.preprocessing.image: photographs to arrays, with Keras's defaults. Order is kept."""

from __future__ import annotations

import os
import warnings
from typing import Any, Callable, Sequence

import numpy as np

from ... import errors
from ._flows import EXTENSIONS, Iterator, files_of, known_classes, part_of, targets

__all__ = ["ImageDataGenerator", "Iterator", "array_to_img", "img_to_array", "load_img"]

_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}


def load_img(path: Any, color_mode: str = "rgb", target_size: tuple[int, int] | None = None,
             interpolation: str = "nearest", keep_aspect_ratio: bool = False) -> Any:
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
    deep = color_mode == "grayscale" and image.mode in ("I;16", "I")  # kept, as Keras does
    if image.mode != _MODES[color_mode] and not deep:
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


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """(height, width, channels) float32 of a PIL image."""
    if data_format not in (None, "channels_last"):
        raise errors.Unsupported(f"data_format {data_format!r}; channels_last is supported")
    x = np.asarray(img, dtype=dtype or np.float32)
    if x.ndim == 2:
        x = x[:, :, np.newaxis]
    if x.ndim != 3:
        raise errors.InvalidArgument(f"img has shape {x.shape}; (height, width[, channels])")
    return x


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """A PIL image of an array; `scale` spreads its values over 0 to 255."""
    from PIL import Image

    x = img_to_array(x, data_format, dtype)
    if scale:
        x = x - x.min()
        most = x.max()
        x = x / most * 255 if most else x
    x = x.astype(np.uint8)
    return Image.fromarray(x[:, :, 0] if x.shape[2] == 1 else x)


class ImageDataGenerator:
    """`rescale`, `preprocessing_function`, `samplewise_center`, `samplewise_std_normalization` and
    `validation_split`; augmentation is for training and refused."""

    def __init__(self, rescale: float | None = None,
                 preprocessing_function: Callable[[np.ndarray], Any] | None = None,
                 data_format: str | None = None, validation_split: float = 0.0, dtype: Any = None,
                 samplewise_center: bool = False, samplewise_std_normalization: bool = False,
                 **augmentation: Any):
        wrong = [name for name, value in augmentation.items() if value not in (0, 0.0, False, None)
                 and (name, value) not in (("fill_mode", "nearest"), ("zca_epsilon", 1e-6),
                                           ("interpolation_order", 1))]
        if wrong:
            raise errors.Unsupported(
                f"ImageDataGenerator({', '.join(sorted(wrong))}): augmentation is for training; rescale, "
                "preprocessing_function and samplewise_... are supported")
        if validation_split and not 0 < validation_split < 1:
            raise errors.InvalidArgument(f"validation_split is {validation_split}; 0 to 1 is accepted")
        if data_format not in (None, "channels_last"):
            raise errors.Unsupported(f"data_format {data_format!r}; channels_last is supported")
        self.rescale = rescale
        self.preprocessing_function = preprocessing_function
        self.samplewise_center = samplewise_center or samplewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.dtype = dtype or np.float32
        self._validation_split = validation_split

    def standardize(self, x: np.ndarray) -> np.ndarray:
        """One image as the network takes it."""
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        if self.rescale:
            x = x * self.rescale
        if self.samplewise_center:
            x = x - np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x = x / (np.std(x, keepdims=True) + 1e-6)
        return np.asarray(x, self.dtype)

    def flow(self, x: Any, y: Any = None, batch_size: int = 32, shuffle: bool = True,
             sample_weight: Any = None, seed: int | None = None, save_to_dir: Any = None,
             save_prefix: str = "", save_format: str = "png", ignore_class_split: bool = False,
             subset: str | None = None) -> Iterator:
        """Batches of an array (n, h, w, c)."""
        _refuse_saving(save_to_dir)
        del ignore_class_split  # the parts are cut as they lie
        x = np.asarray(x)
        if x.ndim != 4:
            raise errors.InvalidArgument(f"x has shape {x.shape}; (n, height, width, channels)")
        more = []
        for what, values in (("labels", y), ("sample weights", sample_weight)):
            if values is not None and len(values) != len(x):
                raise errors.InvalidArgument(f"{len(values)} {what} for {len(x)} images")
            if values is not None:
                more.append(part_of(np.asarray(values), subset, self._validation_split))
        images = part_of(x, subset, self._validation_split)

        def batch(part: np.ndarray) -> Any:
            done = np.stack([self.standardize(np.array(images[i], self.dtype)) for i in part])
            return (done, *(values[part] for values in more)) if more else done

        return Iterator(batch, len(images), batch_size, shuffle, seed)

    def flow_from_directory(self, directory: str | os.PathLike[str],
                            target_size: tuple[int, int] = (256, 256), color_mode: str = "rgb",
                            classes: Sequence[str] | None = None,
                            class_mode: str | None = "categorical", batch_size: int = 32,
                            shuffle: bool = True, seed: int | None = None, save_to_dir: Any = None,
                            save_prefix: str = "", save_format: str = "png",
                            follow_links: bool = False, subset: str | None = None,
                            interpolation: str = "nearest", keep_aspect_ratio: bool = False
                            ) -> Iterator:
        """Images of the sub-folders of `directory`, which are the classes, both in sorted order."""
        _refuse_saving(save_to_dir)
        directory = os.fspath(directory)
        if not os.path.isdir(directory):
            raise errors.NotFound(f"{directory}: no such folder")
        names = list(classes) if classes else sorted(
            entry for entry in os.listdir(directory) if os.path.isdir(os.path.join(directory, entry)))
        files: list[str] = []
        indices: list[int] = []
        for index, name in enumerate(names):
            mine = part_of(files_of(os.path.join(directory, name), follow_links), subset,
                           self._validation_split)
            files += [os.path.join(name, file) for file in mine]
            indices += [index] * len(mine)
        print(f"Found {len(files)} images belonging to {len(names)} classes.")
        labels = None
        if class_mode in ("categorical", "sparse", "binary"):
            labels = targets(class_mode, indices, len(names), self.dtype)
        elif class_mode not in ("input", None):
            raise errors.InvalidArgument(
                f"class_mode {class_mode!r}; 'categorical', 'binary', 'sparse', 'input' or None")
        made = self._files([os.path.join(directory, file) for file in files], labels, None, class_mode,
                           target_size, color_mode, batch_size, shuffle, seed, interpolation,
                           keep_aspect_ratio)
        made.filenames, made.classes = files, np.array(indices, np.int32)
        made.class_indices = {name: i for i, name in enumerate(names)}
        made.num_classes = len(names)
        return made

    def flow_from_dataframe(self, dataframe: Any, directory: str | os.PathLike[str] | None = None,
                            x_col: str = "filename", y_col: Any = "class",
                            weight_col: str | None = None, target_size: tuple[int, int] = (256, 256),
                            color_mode: str = "rgb", classes: Sequence[str] | None = None,
                            class_mode: str | None = "categorical", batch_size: int = 32,
                            shuffle: bool = True, seed: int | None = None, save_to_dir: Any = None,
                            save_prefix: str = "", save_format: str = "png",
                            subset: str | None = None, interpolation: str = "nearest",
                            validate_filenames: bool = True, keep_aspect_ratio: bool = False
                            ) -> Iterator:
        """Images named by a column of a pandas DataFrame (or a dict of lists), in its order."""
        _refuse_saving(save_to_dir)
        files = list(dataframe[x_col])
        if not all(isinstance(file, str) for file in files):
            raise errors.WrongType(f"column {x_col!r} holds other things than names of files")
        paths = [os.path.join(directory or "", file) for file in files]
        keep = list(range(len(files)))
        if validate_filenames:
            keep = [i for i in keep if os.path.isfile(paths[i])
                    and paths[i].lower().endswith(EXTENSIONS)]
            if len(keep) < len(files):
                warnings.warn(f"{len(files) - len(keep)} of {len(files)} files in column {x_col!r} are "
                              "no images that exist; they are left out", stacklevel=2)
        names: list[str] = []
        indices: list[Any] = []
        if class_mode in ("categorical", "sparse", "binary"):
            column = list(dataframe[y_col])
            known, indices, names = known_classes([column[i] for i in keep], classes, class_mode, y_col)
            keep = [keep[i] for i in known]
            indices = list(part_of(indices, subset, self._validation_split))
        keep = list(part_of(keep, subset, self._validation_split))
        weights = None if weight_col is None else np.array(list(dataframe[weight_col]))[keep]
        labels: Any = None
        if names:
            labels = targets(class_mode, indices, len(names), self.dtype)
        elif class_mode == "raw":
            raw = dataframe[y_col]
            labels = np.asarray(raw.values if hasattr(raw, "values") else raw)[keep]
        elif class_mode == "multi_output":
            labels = [np.array(list(dataframe[column]))[keep] for column in y_col]
        elif class_mode not in ("input", None):
            raise errors.InvalidArgument(
                f"class_mode {class_mode!r}; 'categorical', 'binary', 'sparse', 'input', 'raw', "
                "'multi_output' or None")
        print(f"Found {len(keep)} {'validated' if validate_filenames else 'non-validated'} image "
              "filenames" + (f" belonging to {len(names)} classes." if names else "."))
        made = self._files([paths[i] for i in keep], labels, weights, class_mode, target_size,
                           color_mode, batch_size, shuffle, seed, interpolation, keep_aspect_ratio)
        made.filenames = [files[i] for i in keep]
        made.classes = indices
        made.class_indices = {name: i for i, name in enumerate(names)}
        made.num_classes = len(names)
        return made

    def _files(self, paths: list[str], labels: Any, weights: np.ndarray | None, class_mode: str | None,
               target_size: tuple[int, int], color_mode: str, batch_size: int, shuffle: bool,
               seed: int | None, interpolation: str, keep_aspect_ratio: bool) -> Iterator:
        def load(i: int) -> np.ndarray:
            image = load_img(paths[i], color_mode, target_size, interpolation, keep_aspect_ratio)
            return self.standardize(img_to_array(image))

        def batch(part: np.ndarray) -> Any:
            images = np.stack([load(i) for i in part])
            if class_mode is None:
                return images
            if class_mode == "input":
                wanted: Any = images.copy()
            elif isinstance(labels, list):
                wanted = [column[part] for column in labels]
            else:
                wanted = labels[part]
            return (images, wanted) if weights is None else (images, wanted, weights[part])

        made = Iterator(batch, len(paths), batch_size, shuffle, seed)
        made.filepaths = paths
        made.image_shape = (*target_size, {"rgb": 3, "rgba": 4, "grayscale": 1}[color_mode])
        return made


def _refuse_saving(save_to_dir: Any) -> None:
    if save_to_dir is not None:
        raise errors.Unsupported("save_to_dir is for looking at augmentation, which is for training")
