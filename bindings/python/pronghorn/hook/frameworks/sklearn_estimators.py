# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's own classes get the methods of pronghorn.sklearn: objects stay what they are, so
pickles, clones and `isinstance` are not touched."""

from __future__ import annotations

import importlib
from types import ModuleType

from ...sklearn import MODULES
from ..core import Hook

_ESTIMATORS = {
    "sklearn.cluster": ["KMeans", "MiniBatchKMeans"],
    "sklearn.linear_model": ["LogisticRegression"],
    "sklearn.naive_bayes": ["GaussianNB", "MultinomialNB"],
}


def attach(module: ModuleType, hook: Hook) -> None:
    for name in _ESTIMATORS[module.__name__]:
        ours = importlib.import_module(f"pronghorn.sklearn.{MODULES[name]}")
        for call, method in ours.METHODS[name].items():
            hook.patch(ours.ORIGINALS[name], call, lambda _, method=method: method)
    if module.__name__ == "sklearn.linear_model":
        from ...sklearn import _logistic

        # LogisticRegressionCV fits by this function.
        hook.patch(_logistic.theirs, "_logistic_regression_path", lambda _: _logistic.path)
