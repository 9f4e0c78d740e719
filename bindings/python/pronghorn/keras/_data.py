# SPDX-License-Identifier: Apache-2.0
"""What predict and evaluate take, as batches; and arrays as the model wants them."""

from __future__ import annotations

from typing import Any, Iterator

import numpy as np

from .. import errors


def is_array(x: Any) -> bool:
    """Whole data in memory, rather than something that gives batches."""
    if isinstance(x, (np.ndarray, list, tuple)):
        return True
    return hasattr(x, "__array__") and not hasattr(x, "element_spec")


def as_array(x: Any) -> np.ndarray:
    try:
        return np.asarray(x)
    except (ValueError, TypeError) as error:
        raise errors.WrongType(f"x cannot become an array of images: {error}") from error


def array_batches(x: np.ndarray, y: Any, weights: Any, size: int,
                  steps: int | None) -> Iterator[tuple[Any, Any, Any]]:
    if size < 1:
        raise errors.InvalidArgument(f"batch_size is {size}; 1 or more")
    for step, first in enumerate(range(0, len(x), size)):
        if steps is not None and step >= steps:
            return
        part = slice(first, first + size)
        yield x[part], None if y is None else y[part], None if weights is None else weights[part]


def dataset_batches(x: Any, steps: int | None) -> Iterator[tuple[Any, Any, Any]]:
    """(x, y, weights) of a PyDataset or Sequence, a tf.data.Dataset, a generator or an iterable."""
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        items = (x[i] for i in range(len(x)))
    elif hasattr(x, "as_numpy_iterator"):
        items = x.as_numpy_iterator()
    elif hasattr(x, "__iter__"):
        items = iter(x)
    else:
        raise errors.WrongType(
            f"x is a {type(x).__name__}; an array, a dataset, a PyDataset or an iterable of batches "
            "is accepted"
        )
    for step, item in enumerate(items):
        if steps is not None and step >= steps:
            return
        if not isinstance(item, (tuple, list)):
            item = (item,)
        y, weights = (item[i] if i < len(item) else None for i in (1, 2))
        yield item[0], y, weights


def for_model(x: Any, info: Any) -> np.ndarray:
    """A batch as the session takes it (docs/python.md, "What predict takes")."""
    x = as_array(x)
    if x.dtype == np.uint8 and (info.input_is_u8 or info.preprocess != "none"):
        return x
    if x.dtype.kind not in "buif":
        raise errors.WrongType(f"x has dtype {x.dtype}; numbers are accepted: uint8 or float32")
    if x.size:
        low, high = x.min(), x.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise errors.InvalidArgument("x holds a NaN or an infinity; every value must be finite")
        if info.input_is_u8:
            if low < 0 or high > 255:
                raise errors.InvalidArgument(
                    f"x lies in [{low}, {high}]; model {info.name} takes pixels 0 to 255, RGB: leave "
                    "out preprocess_input, or use the model's own (it changes nothing)"
                )
            return np.rint(x).astype(np.uint8)
    x = np.asarray(x, np.float32)
    if info.preprocess_inside:
        if info.preprocess_bgr:
            x = x[..., ::-1]
        mean = np.array(info.preprocess_mean, np.float32)
        x = (x - mean) / np.array(info.preprocess_std, np.float32)
    return x
