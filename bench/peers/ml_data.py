# SPDX-License-Identifier: Apache-2.0
"""Data for timing classic machine learning, made here in the shapes of well-known sets.

"like" is what the maker copies: rows, columns, kinds of values, number of classes. No value is from
the set itself, so accuracies do not compare to published ones.
"""

import numpy as np
from sklearn.datasets import make_blobs, make_classification

# name: (rows, function of rows)
_SETS = {}


def _set(name: str, rows: int):
    def keep(function):
        _SETS[name] = rows, function
        return function
    return keep


def names() -> list:
    return list(_SETS)


def make(name: str, dtype, rows: int = 0):
    """x (rows x columns, C order) and labels. `rows` 0: as many as the set that it is like."""
    usual, function = _SETS[name]
    x, y = function(rows or usual, np.random.RandomState(1))
    return np.ascontiguousarray(x, dtype=dtype), y


@_set("classification-128", 200_000)
def _(rows, rng):
    """scikit-learn's generator: 10 classes, 64 informative of 128 columns."""
    return make_classification(rows, 128, n_informative=64, n_redundant=16, n_classes=10,
                               class_sep=1.5, random_state=rng)


@_set("mnist-like", 60_000)
def _(rows, rng):
    """784 columns in [0, 1] of which 82 % are zero: strokes in the middle of 28 x 28; 10 classes."""
    prototypes = rng.uniform(0, 1, (10, 784)) * (rng.uniform(size=(10, 784)) < 0.35)
    y = rng.randint(0, 10, rows)
    x = np.empty((rows, 784), np.float32)
    for start in range(0, rows, 10_000):
        part = prototypes[y[start:start + 10_000]]
        noise = rng.normal(0, 0.35, part.shape) * (rng.uniform(size=part.shape) < 0.3)
        x[start:start + 10_000] = np.clip(part * (rng.uniform(size=part.shape) < 0.6) + noise, 0, 1)
    return x, y


@_set("covtype-like", 581_012)
def _(rows, rng):
    """10 numeric columns, scaled, and 44 of zeros and ones in two groups; 7 classes, uneven."""
    shares = np.array([0.365, 0.488, 0.062, 0.005, 0.016, 0.030, 0.034])
    y = rng.choice(7, rows, p=shares / shares.sum())
    numeric = rng.normal(size=(7, 10))[y] + 1.5 * rng.normal(size=(rows, 10))
    x = np.zeros((rows, 54), np.float32)
    x[:, :10] = numeric
    at = np.arange(rows)
    x[at, 10 + (y + rng.randint(0, 3, rows)) % 4] = 1
    x[at, 14 + (5 * y + rng.randint(0, 12, rows)) % 40] = 1
    return x, y


@_set("higgs-like", 2_000_000)
def _(rows, rng):
    """28 columns, two classes that overlap, products of columns among them. HIGGS has 11 million
    rows; --rows makes as many as memory takes."""
    x = rng.standard_normal((rows, 28)).astype(np.float32)
    x[:, 21:] = np.abs(x[:, :7] * x[:, 7:14])
    score = x @ rng.normal(0, 0.25, 28).astype(np.float32) + 0.3 * x[:, 0] * x[:, 1]
    return x, (score + rng.logistic(size=rows) > 0).astype(np.int64)


@_set("blobs-64", 500_000)
def _(rows, rng):
    """scikit-learn's generator: 64 overlapping clusters in 64 columns."""
    return make_blobs(rows, 64, centers=64, cluster_std=5.0, center_box=(-10, 10),
                      random_state=rng)


@_set("blobs-64-classes-16", 1_000_000)
def _(rows, rng):
    """16 classes in 64 columns, with means and scales of their own."""
    y = rng.randint(0, 16, rows)
    x = rng.standard_normal((rows, 64)).astype(np.float32)
    x *= rng.uniform(0.5, 3, (16, 64)).astype(np.float32)[y]
    x += rng.normal(0, 0.5, (16, 64)).astype(np.float32)[y]
    return x, y
