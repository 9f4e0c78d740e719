# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's own checks of estimators on ours."""

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.9")

from sklearn import cluster, linear_model, naive_bayes  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from pronghorn.sklearn import (  # noqa: E402
    GaussianNB,
    KMeans,
    LogisticRegression,
    MiniBatchKMeans,
    MultinomialNB,
)

# What scikit-learn excuses its own classes from: a weight of two and a row twice draw other initial
# centres; arrays of another library in predict than in fit.
_SAMPLES = "weighted and repeated rows are drawn differently, as in scikit-learn"
EXCUSED = {
    cluster.KMeans: dict.fromkeys(["check_sample_weight_equivalence_on_dense_data",
                                   "check_sample_weight_equivalence_on_sparse_data"], _SAMPLES),
    cluster.MiniBatchKMeans: dict.fromkeys(["check_sample_weight_equivalence_on_dense_data",
                                            "check_sample_weight_equivalence_on_sparse_data"],
                                           _SAMPLES),
    naive_bayes.GaussianNB: {"check_array_api_same_namespace": "as scikit-learn's GaussianNB"},
    naive_bayes.MultinomialNB: {},
    linear_model.LogisticRegression: {},
}


def excused(estimator):
    return EXCUSED[type(estimator).__bases__[1]]


@parametrize_with_checks(
    [
        KMeans(n_clusters=3, n_init=2, max_iter=5),
        KMeans(n_clusters=3, n_init=2, max_iter=5, algorithm="elkan"),
        MiniBatchKMeans(n_clusters=3, n_init=2, max_iter=5, batch_size=10),
        LogisticRegression(),
        LogisticRegression(C=np.inf, max_iter=1000),
        LogisticRegression(solver="newton-cg"),
        LogisticRegression(solver="saga", l1_ratio=0.5, max_iter=2000),
        GaussianNB(),
        MultinomialNB(),
    ],
    expected_failed_checks=excused,
)
def test_checks(estimator, check):
    check(estimator)
