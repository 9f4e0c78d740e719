# SPDX-License-Identifier: Apache-2.0
"""LogisticRegression: scikit-learn's fit around a solver in native code.

scikit-learn's solvers that minimise the same objective stop at different points near the same
optimum; the native solver takes their place where it reaches the optimum to the same `tol`, which
bounds the largest element of the gradient.
"""

from __future__ import annotations

import inspect
import numbers
import time
import warnings

import numpy as np
import scipy.sparse as sp
from scipy.optimize import OptimizeResult
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import _logistic as theirs
from sklearn.utils import compute_class_weight
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from .. import errors
from ..hook.core import HOOK
from ._calls import (
    FRAMEWORK,
    Invalid,
    Stay,
    inside_original,
    methods,
    new_run,
    weights,
    where,
)
from ._matrix import codes_among, ml, native, refuse_array_api, validated
from ._rebound import rebound

LogisticRegression = linear_model.LogisticRegression
original_path = theirs._logistic_regression_path
_LIBLINEAR = "solver='liblinear' has an objective of its own: it penalises the intercept"
_CV = "LogisticRegressionCV"
_SIGNATURE = inspect.signature(original_path)
# Stands in for the least tolerance: 0 means the default to the native code.
_NO_TOLERANCE = 1e-300


def solve_path(X, y, **options):
    """What scikit-learn's function of the same arguments returns: coefficients for each C, the Cs,
    the iterations. Raises Stay and Invalid."""
    return _solve(X, y, _SIGNATURE.bind(X, y, **options))


def path(X, y, **options):
    """`_logistic_regression_path` as LogisticRegressionCV calls it."""
    if inside_original():
        return original_path(X, y, **options)
    start = time.perf_counter()
    try:
        result = solve_path(X, y, **options)
        place, reason = where(), ""
    except Invalid:
        return original_path(X, y, **options)
    except (Stay, errors.Unsupported, errors.Unavailable) as stay:
        reason, place = str(stay), "original"
        HOOK.fall_back(FRAMEWORK, _CV, "fit", reason)
        result = original_path(X, y, **options)
    HOOK.record(FRAMEWORK, _CV, "fit of a path", place, X.shape[0], time.perf_counter() - start,
                reason=reason)
    return result


def _solve(X, y, bound):
    bound.apply_defaults()
    given = bound.arguments
    solver, penalty, l1_ratio = given["solver"], given["penalty"], given["l1_ratio"]
    _refuse(given, solver)
    refuse_array_api(X, y)
    if given["check_input"]:
        raise Stay("a call of scikit-learn's private function")
    classes = np.asarray(given["classes"])
    binary = len(classes) == 2
    fit_intercept = given["fit_intercept"]
    sample_weight = _weights(X, y, given, classes)
    codes = codes_among(np.asarray(y), classes)
    x = native(X, finite=False)  # X was validated
    outputs = 1 if binary else len(classes)
    w = _first(given["coef"], outputs, x.cols, fit_intercept)
    ratio = {"l1": 1.0, "elasticnet": l1_ratio}.get(penalty, 0.0)
    cs = given["Cs"]
    if isinstance(cs, numbers.Integral):  # scikit-learn's grid
        cs = np.logspace(-4, 4, cs)
    coefs, iterations = [], []
    for c in cs:
        coef, intercept = w[:, :x.cols].copy(), np.zeros(outputs)
        if fit_intercept:
            intercept[:] = w[:, -1]
        n_iter = _fit(x, codes, sample_weight, len(classes), given, float(c), ratio, coef,
                      intercept)
        w = np.column_stack([coef, intercept]) if fit_intercept else coef
        # By columns, as scikit-learn's solvers leave it.
        coefs.append((w[0] if binary else w).astype(X.dtype, order="F"))
        iterations.append(n_iter)
    return np.stack(coefs), np.asarray(cs), np.array(iterations, np.int32)


def _refuse(given, solver):
    if solver == "liblinear":
        raise Stay(_LIBLINEAR)
    if given["verbose"]:
        raise Stay("verbose: the lines of each iteration are scikit-learn's own")


def _weights(X, y, given, classes):
    sample_weight, class_weight = given["sample_weight"], given["class_weight"]
    if sample_weight is None and class_weight is None:
        return None
    sample_weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, copy=True)
    if class_weight is not None:
        of_class = compute_class_weight(class_weight, classes=classes, y=y,
                                        sample_weight=sample_weight)
        sample_weight = sample_weight * of_class[np.searchsorted(classes, y)].astype(X.dtype)
    sample_weight = weights(sample_weight)
    if not sample_weight.sum() > 0:
        raise Stay("the sample weights are all zero")
    return sample_weight


def _first(coef, outputs, features, fit_intercept):
    shape = (outputs, features + int(fit_intercept))
    if coef is None:
        return np.zeros(shape)
    coef = np.atleast_2d(np.asarray(coef, np.float64))
    if coef.shape != shape:
        raise Invalid("the shape of the coefficients to start from")
    return coef


# The native solver for each of scikit-learn's; None: by the penalty.
_SOLVERS = {"lbfgs": "auto", "newton-cg": "newton-cg", "newton-cholesky": "newton-cg"}
# Where a solver stops below tol depends on its path; by so much less than tol, the objective is
# within 1e-6 of its least value. sag and saga stop by the change of the coefficients instead.
_MARGIN = {"sag": 0.01, "saga": 0.01}
_USUAL_MARGIN = 0.1
# Gradients below this are reached by Newton's steps rather than by L-BFGS.
_NEWTON_TOL = 1e-8


def _fit(x, codes, sample_weight, classes, given, c, ratio, coef, intercept):
    """Leaves the optimum in coef and intercept; the number of iterations."""
    limit, tol, solver = int(given["max_iter"]), float(given["tol"]), given["solver"]
    tight = tol * _MARGIN.get(solver, _USUAL_MARGIN)
    l1 = ratio if np.isfinite(c) else 0.0
    method = _SOLVERS.get(solver, "auto")
    if l1 > 0:
        method = "proximal"
    elif tight < _NEWTON_TOL:
        method = "newton-cg"
    objective, gradient, n_iter, converged = np.nan, np.inf, 0, False
    if limit > 0:
        start = coef.copy(), intercept.copy()
        objective, gradient, n_iter, _, converged = ml.logreg_fit(
            x, codes, sample_weight, classes, given["fit_intercept"], c, l1,
            max(tight, _NO_TOLERANCE), limit, method, coef, intercept, new_run())
        if n_iter == 0:  # to the last bit what it was
            coef[:], intercept[:] = start
    if not converged and not gradient <= tol:
        _warn(solver, n_iter, limit, objective)
    return n_iter


def _warn(solver, n_iter, limit, objective):
    """As scikit-learn's solver of this name does when it has not converged."""
    if solver == "lbfgs":
        result = OptimizeResult(status=1, nit=n_iter, message=f"STOP: {n_iter} ITERATIONS")
        _check_optimize_result(solver, result, limit,
                               extra_warning_msg=theirs._LOGISTIC_SOLVER_CONVERGENCE_MSG)
        return
    text = {
        "newton-cg": f"newton-cg failed to converge at loss = {objective}. Increase the number of "
                     "iterations.",
        "newton-cholesky": f"Newton solver did not converge after {n_iter} iterations.",
    }.get(solver, "The max_iter was reached which means the coef_ did not converge")
    warnings.warn(text, ConvergenceWarning, stacklevel=6)


def _validate(self, X, y, order, **options):
    """Any order of a dense X will do."""
    X, y = validated(self, X, y, **options)
    native(X)
    return X, y


# scikit-learn's fit, over the native solver and validation. The norms are for sag.
_fit_over_ours = rebound(LogisticRegression.fit.__wrapped__, _logistic_regression_path=solve_path,
                         validate_data=_validate, row_norms=lambda X, squared: np.zeros(1))


def fit(self, X, y, sample_weight=None):
    refuse_array_api(X, y)
    if self.solver == "liblinear":
        raise Stay(_LIBLINEAR)
    return _fit_over_ours(self, X, y, sample_weight)


# ---- once fitted


def _seen(self, X):
    """The matrix, coefficients and intercepts as doubles, and the dtype of scores."""
    check_is_fitted(self)
    refuse_array_api(X)
    if sp.issparse(self.coef_) or not isinstance(self.coef_, np.ndarray):
        raise Stay("the coefficients are sparse or of another library")
    X = validated(self, X, accept_sparse="csr", reset=False)
    dtype = np.result_type(X.dtype, self.coef_.dtype)
    if dtype != X.dtype and dtype == np.float64:
        X = X.astype(dtype)  # as scikit-learn's product of the two does
    x = native(X)
    coef = np.ascontiguousarray(np.atleast_2d(self.coef_), np.float64)
    intercept = np.zeros(len(coef))
    intercept[:] = self.intercept_
    return x, coef, intercept, np.float32 if x.is_f32 else np.float64


def decision_function(self, X):
    x, coef, intercept, dtype = _seen(self, X)
    scores = np.empty((x.rows, len(coef)), dtype)
    ml.linear_decision(x, coef, intercept, scores, new_run())
    return scores.reshape(-1) if len(coef) == 1 else scores


def predict(self, X):
    x, coef, intercept, _ = _seen(self, X)
    labels = np.empty(x.rows, np.int32)
    ml.linear_predict(x, coef, intercept, labels, new_run())
    return self.classes_.take(labels, axis=0)


def _proba(self, X, logarithm):
    x, coef, intercept, dtype = _seen(self, X)
    proba = np.empty((x.rows, 2 if len(coef) == 1 else len(coef)), dtype)
    ml.linear_proba(x, coef, intercept, logarithm, proba, new_run())
    return proba


def predict_proba(self, X):
    return _proba(self, X, False)


def predict_log_proba(self, X):
    return _proba(self, X, True)


ORIGINALS = {"LogisticRegression": LogisticRegression}
METHODS = {
    "LogisticRegression": methods(LogisticRegression, {
        "fit": fit,
        "decision_function": decision_function,
        "predict": predict,
        "predict_log_proba": predict_log_proba,
        "predict_proba": predict_proba,
    }),
}
