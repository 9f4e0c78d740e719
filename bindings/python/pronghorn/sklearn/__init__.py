# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's estimators with their computation in Pronghorn (docs/sklearn.md).

    from pronghorn.sklearn import KMeans        # instead of: from sklearn.cluster import KMeans

Each class is a subclass of scikit-learn's of the same name: parameters, validation, attributes,
exceptions and cloning are scikit-learn's own. What is not accelerated runs scikit-learn's code, with
the reason in `pronghorn.report()`. Pickles load where Pronghorn is not installed, as scikit-learn's
class. `python -m pronghorn program.py` does the same to an existing program. `load_model` reads what
`pronghorn fit` wrote, `to_npy` turns Parquet into what it reads.
"""

from __future__ import annotations

import importlib
import importlib.metadata

# Methods are replaced that call scikit-learn's private functions, as they are since this release.
_LEAST = (1, 9)

def _refuse_older() -> None:
    try:
        found = importlib.metadata.version("scikit-learn")
    except importlib.metadata.PackageNotFoundError:
        return  # files are read and written without it
    if tuple(int(part) for part in found.split(".")[:2]) < _LEAST:
        raise ImportError("scikit-learn {}.{} or newer is accepted, not {}".format(*_LEAST, found))


_refuse_older()

# The module that has an estimator's ORIGINALS and METHODS; it imports scikit-learn's module of the
# estimator, so it is imported when the estimator is asked for.
MODULES = {
    "GaussianNB": "_bayes",
    "KMeans": "_kmeans",
    "LogisticRegression": "_logistic",
    "MiniBatchKMeans": "_minibatch",
    "MultinomialNB": "_bayes",
}

_FILES = ["load_model", "to_npy"]
__all__ = [*MODULES, *_FILES]


def __getattr__(name: str):
    if name in _FILES:
        globals()[name] = getattr(importlib.import_module(f"{__name__}._files"), name)
        return globals()[name]
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{MODULES[name]}")
    from ._portable import portable

    globals()[name] = portable(module.ORIGINALS[name], module.METHODS[name])
    return globals()[name]


def __dir__():
    return sorted({*globals(), *__all__})
