# SPDX-License-Identifier: Apache-2.0
"""MiniBatchKMeans: scikit-learn's draws, stopping rule and reassignments; steps in native code."""

from __future__ import annotations

import numpy as np
from sklearn import cluster
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight

from ._calls import Stay, methods, new_run, weights
from ._kmeans import (
    FITTED,
    centers_of,
    finish,
    initial,
    labels_inertia,
    rows_at,
    unchanged_draws,
)
from ._matrix import FLOATS, ml, native, refuse_array_api, validated

MiniBatchKMeans = cluster.MiniBatchKMeans


def fit(self, X, y=None, sample_weight=None):
    X, sample_weight = _checked(self, X, sample_weight, reset=True)
    self._check_params_vs_input(X)
    init = initial(self, X)
    native(X)
    rows = X.shape[0]
    chance = np.ones(rows, X.dtype) if sample_weight is None else sample_weight
    random_state = check_random_state(self.random_state)
    with unchanged_draws(random_state):
        centers = _best_start(self, X, chance, init, random_state)
        _start_counting(self, X)
        self._ewa_inertia = self._ewa_inertia_min = None
        self._no_improvement = 0
        # RandomState.choice with chances, whose cumulated sum is the same in each step.
        cumulated = (chance / chance.sum()).astype(np.float64).cumsum()
        cumulated /= cumulated[-1]
        steps = (self.max_iter * rows) // self._batch_size
        for step in range(steps):
            batch = cumulated.searchsorted(random_state.random_sample(self._batch_size),
                                           side="right")
            old = centers.copy() if self._tol > 0.0 else centers
            inertia = _step(self, X[batch], None, centers, random_state)
            moved = np.sum((centers - old) ** 2) if self._tol > 0.0 else 0
            if self._mini_batch_convergence(step, steps, rows, moved, inertia):
                break
    finish(self, centers)
    self.n_steps_ = step + 1
    self.n_iter_ = int(np.ceil((step + 1) * self._batch_size / rows))
    if self.compute_labels:
        self.labels_, self.inertia_ = labels_inertia(native(X, finite=False),
                                                     weights(sample_weight), centers)
    else:
        self.inertia_ = self._ewa_inertia * np.sum(chance)
    return self


def partial_fit(self, X, y=None, sample_weight=None):
    fresh = not hasattr(self, "cluster_centers_")
    X, sample_weight = _checked(self, X, sample_weight, reset=fresh)
    random_state = getattr(self, "_random_state", None)
    if random_state is None:
        random_state = check_random_state(self.random_state)
    x = native(X)
    chance = np.ones(X.shape[0], X.dtype) if sample_weight is None else sample_weight
    with unchanged_draws(random_state):
        if fresh:
            self._check_params_vs_input(X)
            centers = _start(self, X, chance, initial(self, X), random_state)
            _start_counting(self, X)
        else:
            if self.cluster_centers_.dtype != X.dtype:
                raise Stay("X has another dtype than the centres")
            centers = self.cluster_centers_.copy()
        _step(self, X, weights(sample_weight), centers, random_state)
    self._random_state = random_state
    self.n_steps_ = getattr(self, "n_steps_", 0) + 1
    finish(self, centers)
    if self.compute_labels:
        self.labels_, self.inertia_ = labels_inertia(x, weights(sample_weight), centers)
    return self


def _checked(self, X, sample_weight, reset):
    refuse_array_api(X)
    if self.verbose:
        raise Stay("verbose: the lines of each step are scikit-learn's own")
    X = validated(self, X, accept_sparse="csr", dtype=FLOATS, order="C",
                  accept_large_sparse=False, reset=reset)
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        weights(sample_weight)
    return X, sample_weight


def _start_counting(self, X):
    self._counts = np.zeros(self.n_clusters, dtype=X.dtype)
    self._n_since_last_reassign = 0


def _best_start(self, X, chance, init, random_state):
    """Of some initialisations the one that is best on a sample of rows."""
    sample = random_state.randint(0, X.shape[0], self._init_size)
    seen = native(X[sample], finite=False)
    w = weights(chance[sample])
    best = None
    for _ in range(self._n_init):
        centers = _start(self, X, chance, init, random_state)
        inertia = labels_inertia(seen, w, centers)[1]
        if best is None or inertia < best[0]:
            best = inertia, centers
    return best[1].copy()


def _start(self, X, chance, init, random_state):
    """One initialisation, from a sample of rows."""
    if self._init_size < X.shape[0]:
        rows = random_state.randint(0, X.shape[0], self._init_size)
        X, chance = X[rows], chance[rows]
    x = native(X, finite=False)
    return centers_of(self, X, x, init, random_state, chance, weights(chance), (X, X.dtype.type(0)))


def _step(self, X, w, centers, random_state):
    """Moves `centers` and `self._counts` by one batch; its inertia before that."""
    reassign = self._random_reassign() and self.reassignment_ratio > 0
    counts = self._counts.astype(np.float64)
    inertia = ml.kmeans_minibatch(native(X, finite=False), w, None, centers, counts, new_run())
    self._counts[:] = counts
    if reassign:
        _reassign(self, X, centers, random_state)
    return inertia


def _reassign(self, X, centers, random_state):
    """Centres of little weight move to rows of the batch drawn at random; at most half as many as
    there are rows. Their counts become the least of the others', so that they are not at once
    moved again."""
    counts = self._counts
    poor = counts < self.reassignment_ratio * counts.max()
    most = int(0.5 * X.shape[0])
    if poor.sum() > 0.5 * X.shape[0]:
        poor[np.argsort(counts)[most:]] = False
    if not poor.any():
        return
    rows = random_state.choice(X.shape[0], replace=False, size=poor.sum())
    centers[poor] = rows_at(X, rows)
    counts[poor] = counts[~poor].min()


ORIGINALS = {"MiniBatchKMeans": MiniBatchKMeans}
METHODS = {
    "MiniBatchKMeans": methods(MiniBatchKMeans,
                               {"fit": fit, "partial_fit": partial_fit, **FITTED}),
}
