# SPDX-License-Identifier: Apache-2.0
"""Files that the program `pronghorn` writes and reads, for scikit-learn: models and tables."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import numpy as np

from .. import errors

FORMAT, VERSION = "pronghorn-ml", 1


def load_model(path: str | os.PathLike, *, ours: bool = False) -> Any:
    """The estimator of scikit-learn that a model file of `pronghorn fit` describes, fitted. With
    `ours`, the class of the same name in this package. Raises errors.Corrupt, Unsupported naming the
    file and what is wrong with it."""
    path = pathlib.Path(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise errors.Corrupt(f"{path}: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise errors.Unsupported(f'{path}: is no model of `pronghorn fit` ("format": "{FORMAT}")')
    if found.get("version") != VERSION:
        raise errors.Unsupported(f"{path}: is of version {found.get('version')}; {VERSION} is read")
    make = {"kmeans": _kmeans, "logistic_regression": _logistic_regression,
            "gaussian_nb": _gaussian_nb, "multinomial_nb": _multinomial_nb}.get(found.get("estimator"))
    if make is None:
        raise errors.Unsupported(f"{path}: estimator {found.get('estimator')!r} is not known")
    try:
        model = make(found, ours)
        model.n_features_in_ = int(found["n_features"])
    except (KeyError, TypeError, ValueError) as error:
        raise errors.Corrupt(f"{path}: {type(error).__name__}: {error}") from None
    names = found.get("feature_names")
    if names:
        model.feature_names_in_ = np.array(names, dtype=object)
    return model


def _class(module: str, name: str, ours: bool):
    import importlib

    return getattr(importlib.import_module("pronghorn.sklearn" if ours else module), name)


def _table(found, key):
    values = np.array(found[key], dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != found["n_features"] or not np.isfinite(values).all():
        raise ValueError(f'"{key}" is not rows of {found["n_features"]} finite numbers')
    return values


def _classes(found, count):
    classes = np.array(found["classes"], dtype=np.float64)
    if classes.shape != (count,):
        raise ValueError(f'"classes" has {classes.size} values where {count} belong')
    whole = classes.astype(np.int64)
    return whole if (whole == classes).all() else classes


def _offsets(found, key, count):
    values = np.array(found[key], dtype=np.float64)
    if values.shape != (count,):
        raise ValueError(f'"{key}" has {values.size} values where {count} belong')
    return values


def _kmeans(found, ours):
    centers = _table(found, "cluster_centers")
    model = _class("sklearn.cluster", "KMeans", ours)(n_clusters=len(centers), n_init=1)
    model.cluster_centers_ = centers
    model._n_features_out = len(centers)
    model._n_threads = 1
    facts = found.get("fit", {})
    for name, key in (("inertia_", "objective"), ("n_iter_", "iterations")):
        if key in facts:
            setattr(model, name, facts[key])
    return model


def _logistic_regression(found, ours):
    coef = _table(found, "coef")
    model = _class("sklearn.linear_model", "LogisticRegression", ours)()
    model.coef_, model.intercept_ = coef, _offsets(found, "intercept", len(coef))
    model.classes_ = _classes(found, 2 if len(coef) == 1 else len(coef))
    model.n_iter_ = np.array([found.get("fit", {}).get("iterations", 0)], dtype=np.int32)
    return model


def _gaussian_nb(found, ours):
    model = _class("sklearn.naive_bayes", "GaussianNB", ours)()
    model.theta_, model.var_ = _table(found, "theta"), _table(found, "var")
    if model.var_.shape != model.theta_.shape or not (model.var_ > 0).all():
        raise ValueError('"var" is not one positive number for each of "theta"')
    model.classes_ = _classes(found, len(model.theta_))
    model.class_prior_ = np.exp(_offsets(found, "class_log_prior", len(model.theta_)))
    model.epsilon_ = 0.0  # "var" holds it
    return model


def _multinomial_nb(found, ours):
    model = _class("sklearn.naive_bayes", "MultinomialNB", ours)()
    model.feature_log_prob_ = _table(found, "feature_log_prob")
    count = len(model.feature_log_prob_)
    model.classes_ = _classes(found, count)
    model.class_log_prior_ = _offsets(found, "class_log_prior", count)
    return model


def _fits_float32(kind) -> bool:
    """Whether every value of a column of this Arrow type is a float32."""
    import pyarrow.types as is_

    return is_.is_boolean(kind) or is_.is_float16(kind) or is_.is_float32(kind) or (
        is_.is_integer(kind) and kind.bit_width <= 16)


def to_npy(source: str | os.PathLike, target: str | os.PathLike, *,
           columns: list[str] | None = None, dtype: Any = np.float32,
           names: str | os.PathLike | None = None) -> tuple[int, int]:
    """Writes the numbers of a Parquet or Arrow file as .npy, which every other part of Pronghorn maps
    into memory and reads as it is used: one batch of rows is held at a time, so the file may be
    larger than memory. With `dtype` None they are float64 where a column needs more than float32's
    digits. `names`: a JSON file for the columns' names. Returns rows and columns. Needs pyarrow."""
    try:
        import pyarrow
        import pyarrow.dataset
    except ImportError:
        raise errors.Unavailable(
            f"{source}: reading it needs pyarrow, which is not installed (pip install pyarrow)"
        ) from None
    source, target = pathlib.Path(source), pathlib.Path(target)
    kind = {".parquet": "parquet", ".arrow": "ipc", ".feather": "feather"}.get(source.suffix)
    if kind is None:
        raise errors.Unsupported(f"{source}: .parquet, .arrow or .feather is read")
    part = target.with_name(target.name + ".part")
    try:
        table = pyarrow.dataset.dataset(source, format=kind)
        wanted = list(columns or table.schema.names)
        if dtype is None:
            narrow = all(_fits_float32(table.schema.field(name).type) for name in wanted)
            dtype = np.float32 if narrow else np.float64
        rows = table.count_rows()
        out = np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=(rows, len(wanted)))
        at = 0
        for batch in table.to_batches(columns=wanted):
            for j, name in enumerate(wanted):
                try:
                    out[at:at + batch.num_rows, j] = batch.column(j).to_numpy(zero_copy_only=False)
                except (ValueError, TypeError):
                    raise errors.Unsupported(
                        f"{source}: column {name!r} holds {batch.schema.field(j).type}, no numbers"
                    ) from None
            at += batch.num_rows
        out.flush()
        del out
        os.replace(part, target)
        if names is not None:
            pathlib.Path(names).write_text(json.dumps(wanted))
    except FileNotFoundError:
        raise errors.NotFound(f"{source}: no such file") from None
    except pyarrow.ArrowException as error:
        raise errors.Corrupt(f"{source}: {error}") from None
    finally:
        part.unlink(missing_ok=True)
    return rows, len(wanted)
