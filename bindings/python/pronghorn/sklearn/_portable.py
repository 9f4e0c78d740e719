# SPDX-License-Identifier: Apache-2.0
"""Estimator classes whose pickles load with or without Pronghorn.

A pickle names the class of an object. Here it names: the first of [our class if it can be imported,
scikit-learn's class] that is not None, in words of the standard library only.
"""

from __future__ import annotations

import copyreg
import pydoc
import warnings
from abc import ABCMeta

import sklearn
from sklearn.exceptions import InconsistentVersionWarning

MODULE = "pronghorn.sklearn"
_VERSION = "_sklearn_version"


class PortableClass(ABCMeta):
    """The class of our estimator classes; pickle looks here for how to write them."""


class _Call:
    """Pickled as a call: what it returns takes this object's place."""

    def __init__(self, function, *arguments):
        self._reduced = function, arguments

    def __reduce__(self):
        return self._reduced


def _reduce_class(estimator: type):
    if estimator.__module__ != MODULE:  # a subclass of a user's: by its name
        return estimator.__qualname__
    original = estimator.__mro__[estimator.__mro__.index(Portable) + 1]
    found = _Call(pydoc.locate, f"{MODULE}.{estimator.__name__}")
    return next, (_Call(filter, None, [found, original]),)


copyreg.pickle(PortableClass, _reduce_class)


class Portable:
    """Comes before scikit-learn's class among the bases of an estimator. Its state says the version
    of scikit-learn, as that of scikit-learn's own classes does."""

    def __getstate__(self):
        return {**super().__getstate__(), _VERSION: sklearn.__version__}

    def __setstate__(self, state):
        version = state.pop(_VERSION, sklearn.__version__)
        if version != sklearn.__version__:
            warnings.warn(InconsistentVersionWarning(
                estimator_name=type(self).__name__, current_sklearn_version=sklearn.__version__,
                original_sklearn_version=version))
        super().__setstate__(state)


def portable(original: type, methods: dict) -> type:
    """A subclass of scikit-learn's class `original`, of the same name."""
    namespace = {"__module__": MODULE, "__doc__": original.__doc__, **methods}
    return PortableClass(original.__name__, (Portable, original), namespace)
