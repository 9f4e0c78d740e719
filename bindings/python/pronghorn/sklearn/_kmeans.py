# SPDX-License-Identifier: Apache-2.0
"""KMeans: scikit-learn's random draws and rules, Lloyd's iteration in native code.

scikit-learn subtracts the mean from a copy of X. Here X stays as and where it is; callable
initialisations, which see that copy, get one.
"""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import scipy.sparse as sp
from sklearn import cluster
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from sklearn.utils.validation import (
    _check_sample_weight,
    _is_arraylike_not_scalar,
    check_is_fitted,
)

from ..errors import InvalidArgument
from ._calls import Invalid, Stay, methods, new_run, weights
from ._matrix import FLOATS, ml, native, refuse_array_api, validated
from ._rebound import rebound

KMeans = cluster.KMeans


@contextlib.contextmanager
def unchanged_draws(random_state):
    """A generator that is the caller's draws the same numbers again when scikit-learn's code has to
    start over."""
    kept = random_state.get_state()
    try:
        yield
    except BaseException:
        random_state.set_state(kept)
        raise


def fit(self, X, y=None, sample_weight=None):
    refuse_array_api(X)
    if self.verbose:
        raise Stay("verbose: the lines of each iteration are scikit-learn's own")
    X = validated(self, X, accept_sparse="csr", dtype=FLOATS, accept_large_sparse=False)
    _check_parameters(self, X, default_n_init=10)
    algorithm = self.algorithm
    if algorithm == "elkan" and self.n_clusters == 1:
        raise Stay("algorithm='elkan' for one cluster")
    init = initial(self, X)
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, X, dtype=X.dtype)
    w = weights(sample_weight)
    x = native(X)
    random_state = check_random_state(self.random_state)
    best = None
    with unchanged_draws(random_state):
        centred = _centred(X) if callable(init) else (None, 0)
        for _ in range(self._n_init):
            start = centers_of(self, X, x, init, random_state, sample_weight, w, centred)
            result = _lloyd(self, x, w, start, algorithm)
            if best is None or (result[0] < best[0] and not same_clusters(result[2], best[2])):
                best = result
    self.inertia_, centers, self.labels_, self.n_iter_, distinct = best
    if distinct < self.n_clusters:
        warnings.warn(
            f"Number of distinct clusters ({distinct}) found smaller than n_clusters "
            f"({self.n_clusters}). Possibly due to duplicate points in X.",
            ConvergenceWarning, stacklevel=4)
    finish(self, centers)
    return self


def _lloyd(self, x, w, start, algorithm):
    centers = np.empty_like(start)
    labels = np.empty(x.rows, np.int32)
    inertia, n_iter, _, distinct = ml.kmeans_fit(
        x, w, start, centers, labels, "bounds" if algorithm == "elkan" else "auto", self.max_iter,
        float(self.tol), new_run())
    return inertia, centers, labels, n_iter, distinct


def finish(self, centers):
    self.cluster_centers_ = centers
    self._n_features_out = len(centers)
    self._n_threads = _openmp_effective_n_threads()  # what scikit-learn's predict asks for


# scikit-learn's checks of n_clusters and n_init, without the pass over X for the tolerance, which the
# native code makes.
_check_parameters = rebound(cluster._kmeans._BaseKMeans._check_params_vs_input,
                            _tolerance=lambda X, tol: tol)


def initial(self, X):
    """`self.init`; an array is validated and of X's dtype."""
    if not _is_arraylike_not_scalar(self.init):
        return self.init
    init = check_array(self.init, dtype=X.dtype, copy=True, order="C")
    if init.shape != (self.n_clusters, X.shape[1]):
        raise Invalid("the shape of init")
    return init


def _centred(X):
    if sp.issparse(X):
        return X, X.dtype.type(0)
    mean = X.mean(axis=0)
    return np.subtract(X, mean, order="C"), mean


def centers_of(self, X, x, init, random_state, sample_weight, w, centred):
    """Initial centres, with the draws that scikit-learn makes for them. `centred`: what a callable
    is given, and what is to be added to its answer."""
    clusters = self.n_clusters
    if callable(init):
        given, mean = centred
        centers = init(given, clusters, random_state=random_state)
        centers = check_array(centers, dtype=X.dtype, copy=False, order="C")
        self._validate_center_shape(X, centers, n_centroids=clusters)
        return np.ascontiguousarray(centers + mean, dtype=X.dtype)
    if not isinstance(init, str):
        return init
    # The chances are of X's dtype, as in scikit-learn, so that the same rows are drawn.
    chance = np.ones(x.rows, X.dtype) if sample_weight is None else sample_weight
    chance = chance / chance.sum()
    if init == "random":
        rows = random_state.choice(x.rows, size=clusters, replace=False, p=chance)
        return rows_at(X, rows)
    first = random_state.choice(x.rows, p=chance)
    trials = 2 + int(np.log(clusters))
    uniforms = random_state.uniform(size=(clusters - 1) * trials)
    centers = np.empty((clusters, X.shape[1]), X.dtype)
    indices = np.empty(clusters, np.int64)
    ml.kmeans_plusplus(x, w, int(first), trials, uniforms, indices, centers, new_run())
    return centers


def rows_at(X, rows):
    chosen = X[rows]
    return np.ascontiguousarray(chosen.toarray() if sp.issparse(chosen) else chosen)


def same_clusters(labels, others):
    """Whether the two are the same clusters under other numbers."""
    numbers = np.full(int(labels.max()) + 1, -1, np.int64)
    numbers[labels] = others
    return bool((numbers[labels] == others).all())


# ---- of both k-means estimators, once fitted


def _seen(self, X, *, finite=True):
    """X and the centres in X's dtype. `finite`: look for NaN and infinity here."""
    check_is_fitted(self)
    refuse_array_api(X)
    X = validated(self, X, accept_sparse="csr", reset=False, dtype=FLOATS,
                  accept_large_sparse=False)
    x = native(X, finite=finite)
    return X, x, np.ascontiguousarray(self.cluster_centers_, dtype=X.dtype)


def labels_inertia(x, w, centers):
    labels = np.empty(x.rows, np.int32)
    return labels, ml.kmeans_predict(x, w, centers, labels, True, new_run())


def predict(self, X):
    _, x, centers = _seen(self, X, finite=False)  # the pass itself finds what is not finite
    labels = np.empty(x.rows, np.int32)
    try:
        ml.kmeans_predict(x, None, centers, labels, False, new_run())
    except InvalidArgument as error:
        raise Invalid(str(error)) from None
    return labels


def transform(self, X):
    _, x, centers = _seen(self, X)
    distances = np.empty((x.rows, len(centers)), centers.dtype)
    ml.kmeans_transform(x, centers, distances, new_run())
    return distances


def score(self, X, y=None, sample_weight=None):
    X, x, centers = _seen(self, X)
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, X, dtype=X.dtype)
    return -labels_inertia(x, weights(sample_weight), centers)[1]


def fit_predict(self, X, y=None, sample_weight=None):
    return self.fit(X, sample_weight=sample_weight).labels_


def fit_transform(self, X, y=None, sample_weight=None):
    return transform(self.fit(X, sample_weight=sample_weight), X)


FITTED = {
    "fit_predict": fit_predict,
    "fit_transform": fit_transform,
    "predict": predict,
    "score": score,
    "transform": transform,
}
ORIGINALS = {"KMeans": KMeans}
METHODS = {"KMeans": methods(KMeans, {"fit": fit, **FITTED})}
