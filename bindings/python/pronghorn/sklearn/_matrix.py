# SPDX-License-Identifier: Apache-2.0
"""What users pass as X and y, validated by scikit-learn and seen by the native code where it lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import sklearn
from sklearn.utils._array_api import get_namespace
from sklearn.utils.validation import validate_data

from .. import _native, errors
from ._calls import Invalid, Stay, new_run, worked_with

ml = _native.ml
FLOATS = [np.float64, np.float32]


def refuse_array_api(*arrays: Any) -> None:
    """Arrays of other libraries, under scikit-learn's array_api_dispatch, are for its own code; in
    its default configuration they are converted to NumPy's by the validation."""
    if not sklearn.get_config()["array_api_dispatch"]:
        return
    for x in arrays:
        if x is None or isinstance(x, np.ndarray) or sp.issparse(x):
            continue
        xp, is_array_api = get_namespace(x)
        if is_array_api and "numpy" not in xp.__name__:
            raise Stay(f"an array of {xp.__name__.rsplit('.', 1)[-1]} under array_api_dispatch")


def validated(self: Any, X: Any, y: Any = "no_validation", **options: Any):
    """`validate_data` without its look for NaN and infinity, which `native` does with every core."""
    return validate_data(self, X, y, ensure_all_finite=False, **options)


def native(X: Any, *, finite: bool = True) -> ml.Matrix:
    """X for the native code, without a copy where its layout allows. Invalid: NaN, infinity."""
    if sp.issparse(X):
        if not X.has_canonical_format:  # distances need one value a place
            X = X.copy()
            X.sum_duplicates()
        indices, indptr = X.indices, X.indptr
        if indices.dtype != indptr.dtype:
            indices, indptr = indices.astype(np.int64), indptr.astype(np.int64)
        matrix = ml.Matrix(_floats(X.data), indices, indptr, X.shape[1])
    else:
        X = _floats(X)
        matrix = ml.Matrix(X if _regular(X) else np.ascontiguousarray(X))
    worked_with(matrix)
    finite = finite and not sklearn.get_config()["assume_finite"]
    if finite or sp.issparse(X):
        try:
            ml.check(matrix, finite, new_run())
        except errors.InvalidArgument as error:
            raise Invalid(str(error)) from None
    return matrix


def _floats(x: np.ndarray) -> np.ndarray:
    """Integers become double; halves and long doubles have another meaning."""
    if x.dtype in (np.float32, np.float64):
        return x
    if x.dtype.kind in "biu":
        return x.astype(np.float64)
    raise Stay(f"X has dtype {x.dtype}")


def _regular(x: np.ndarray) -> bool:
    """Whether rows or columns lie without gaps."""
    rows, cols = x.shape
    across, along = x.strides[0] // x.itemsize, x.strides[1] // x.itemsize
    if any(stride % x.itemsize for stride in x.strides):
        return False
    return ((cols <= 1 or along == 1) and (rows <= 1 or across >= cols)) or (
        (rows <= 1 or across == 1) and (cols <= 1 or along >= rows))


def encoded(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes in ascending order, and the index of each label among them as int32."""
    if y.dtype.kind in "biu" and y.dtype.isnative and y.ndim == 1:
        labels = np.ascontiguousarray(y)
        narrow = ml.encode_labels(labels.view(np.uint8) if y.dtype.kind == "b" else labels)
        if narrow is not None:
            return np.array(narrow[0], dtype=y.dtype), narrow[1]
    classes, codes = np.unique(y, return_inverse=True)
    return classes, np.asarray(codes, dtype=np.int32).reshape(-1)


def codes_among(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The index of each label among `classes`. Invalid: there is another one."""
    present, codes = encoded(y)
    places = np.searchsorted(classes, present)
    if (places >= len(classes)).any() or (classes[places] != present).any():
        raise Invalid("a label is not among the classes")
    if len(present) == len(classes):
        return codes
    return places.astype(np.int32)[codes]
