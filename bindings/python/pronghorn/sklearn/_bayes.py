# SPDX-License-Identifier: Apache-2.0
"""GaussianNB and MultinomialNB: one pass over the data to fit, one to predict."""

from __future__ import annotations

import numpy as np
from sklearn import naive_bayes
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ..errors import InvalidArgument
from ._calls import Invalid, Stay, methods, new_run, weights
from ._matrix import codes_among, encoded, ml, native, refuse_array_api, validated

Gaussian = naive_bayes.GaussianNB
Multinomial = naive_bayes.MultinomialNB


# ---- Gaussian


def gaussian_fit(self, X, y, sample_weight=None):
    refuse_array_api(X, y)
    y = validate_data(self, y=y)
    classes, codes = encoded(y)
    self.classes_ = None
    return _update(self, X, y, classes, codes, sample_weight)


def gaussian_partial_fit(self, X, y, classes=None, sample_weight=None):
    refuse_array_api(X, y)
    return _update(self, X, y, classes, None, sample_weight)


def _update(self, X, y, classes, codes, sample_weight):
    first = _check_partial_fit_first_call(self, classes)
    X, y = validated(self, X, y, reset=first)
    dtype = X.dtype if X.dtype.kind == "f" else np.dtype(np.float64)
    if sample_weight is not None:
        sample_weight = weights(_check_sample_weight(sample_weight, X, dtype=dtype))
    # Where every row counts, a value that is not finite shows in the moments.
    x = native(X, finite=sample_weight is not None or not first)
    count = len(self.classes_)
    run = new_run()
    if first:
        self.class_prior_ = _priors(self, count, dtype)
        held = np.zeros(count), np.zeros((count, x.cols)), np.zeros((count, x.cols))
    else:
        if x.cols != self.theta_.shape[1]:
            raise Invalid("another number of features than before")
        held = [np.array(a, np.float64) for a in (self.class_count_, self.theta_, self.var_)]
    if codes is None:
        codes = codes_among(y, self.classes_)
    largest = None
    if not first or sample_weight is not None:
        variances = np.empty(x.cols)
        ml.moments(x, None, np.empty(x.cols), variances, run)
        largest = variances.max()
        held[2][...] -= 0.0 if first else self.var_smoothing * largest
    class_count, theta, var = held
    ml.gaussian_nb_fit(x, codes, sample_weight, class_count, theta, var, run)
    if largest is None:
        if not np.isfinite(var).all():
            raise Invalid("values that are not finite")
        largest = _overall_variance(class_count, theta, var).max()
    self.epsilon_ = dtype.type(self.var_smoothing * largest)
    self.theta_ = theta.astype(dtype, copy=False)
    self.var_ = (var + self.epsilon_).astype(dtype, copy=False)
    self.class_count_ = class_count.astype(dtype, copy=False)
    if self.priors is None:
        self.class_prior_ = self.class_count_ / self.class_count_.sum()
    return self


def _priors(self, count, dtype):
    if self.priors is None:
        return np.zeros(count, dtype=dtype)
    priors = np.asarray(self.priors, dtype=dtype)
    if len(priors) != count or not np.isclose(priors.sum(), 1.0) or (priors < 0).any():
        raise Invalid("priors")
    return priors


def _overall_variance(count, mean, variance):
    """Of each column, from what its classes say."""
    share = (count / count.sum())[:, np.newaxis]
    centre = (share * mean).sum(axis=0)
    return (share * (variance + (mean - centre) ** 2)).sum(axis=0)


def _gaussian(self, X, what):
    """Raises Stay before X is looked at where the model is not one for the native code."""
    check_is_fitted(self)
    refuse_array_api(X)
    if not isinstance(self.theta_, np.ndarray):
        raise Stay("the model was fitted on arrays of another library")
    if not (self.var_ > 0).all():
        raise Stay("a variance is zero")
    X = validated(self, X, reset=False)
    x = native(X)
    with np.errstate(divide="ignore"):
        log_prior = np.log(np.asarray(self.class_prior_, np.float64))
    output = _output(x, len(log_prior), what)
    ml.gaussian_nb_predict(x, log_prior, np.ascontiguousarray(self.theta_, np.float64),
                           np.ascontiguousarray(self.var_, np.float64), what, output, new_run())
    return _of_type(output, X, self.theta_)


def _output(x, classes, what):
    return np.empty(x.rows, np.int32) if what == ml.LABEL else np.empty((x.rows, classes))


def _of_type(output, X, parameters):
    if output.dtype == np.int32:
        return output
    return output.astype(np.result_type(X.dtype, parameters.dtype), copy=False)


def gaussian_predict(self, X):
    labels = _gaussian(self, X, ml.LABEL)
    return self.classes_[labels]


def gaussian_predict_joint_log_proba(self, X):
    return _gaussian(self, X, ml.JOINT)


def gaussian_predict_log_proba(self, X):
    return _gaussian(self, X, ml.LOG_PROBA)


def gaussian_predict_proba(self, X):
    return _gaussian(self, X, ml.PROBA)


# ---- multinomial


def multinomial_fit(self, X, y, sample_weight=None):
    X, y = validated(self, X, y, accept_sparse="csr")
    if type_of_target(y) not in ("binary", "multiclass"):
        raise Invalid("y")
    self.classes_, codes = encoded(y)
    self._init_counters(len(self.classes_), X.shape[1])
    return _count(self, X, codes, sample_weight)


def multinomial_partial_fit(self, X, y, classes=None, sample_weight=None):
    first = not hasattr(self, "classes_")
    X, y = validated(self, X, y, accept_sparse="csr", reset=first)
    if _check_partial_fit_first_call(self, classes):
        self._init_counters(len(classes), X.shape[1])
    if type_of_target(y) not in ("binary", "multiclass"):
        raise Stay("labels that are not of one class each")
    try:
        codes = codes_among(y, self.classes_)
    except Invalid:
        raise Stay("labels that are not among the classes count for none") from None
    return _count(self, X, codes, sample_weight)


def _count(self, X, codes, sample_weight):
    if sample_weight is not None:
        sample_weight = weights(_check_sample_weight(sample_weight, X))
    x = native(X)
    class_count = self.class_count_.copy()
    feature_count = self.feature_count_.copy()
    try:
        ml.multinomial_nb_fit(x, codes, sample_weight, class_count, feature_count, new_run())
    except InvalidArgument as error:  # a negative value
        raise Invalid(str(error)) from None
    self.class_count_, self.feature_count_ = class_count, feature_count
    self._update_feature_log_prob(self._check_alpha())
    self._update_class_log_prior(class_prior=self.class_prior)
    return self


def _multinomial(self, X, what):
    check_is_fitted(self)
    X = validated(self, X, accept_sparse="csr", reset=False)
    if not np.isfinite(self.feature_log_prob_).all():
        raise Stay("a feature has probability zero in a class")
    x = native(X)
    log_prior = np.ascontiguousarray(self.class_log_prior_, np.float64)
    output = _output(x, len(log_prior), what)
    ml.multinomial_nb_predict(x, log_prior,
                              np.ascontiguousarray(self.feature_log_prob_, np.float64), what,
                              output, new_run())
    return output


def multinomial_predict(self, X):
    labels = _multinomial(self, X, ml.LABEL)
    return self.classes_[labels]


def multinomial_predict_joint_log_proba(self, X):
    return _multinomial(self, X, ml.JOINT)


def multinomial_predict_log_proba(self, X):
    return _multinomial(self, X, ml.LOG_PROBA)


def multinomial_predict_proba(self, X):
    return _multinomial(self, X, ml.PROBA)


ORIGINALS = {"GaussianNB": Gaussian, "MultinomialNB": Multinomial}
METHODS = {
    "GaussianNB": methods(Gaussian, {
        "fit": gaussian_fit,
        "partial_fit": gaussian_partial_fit,
        "predict": gaussian_predict,
        "predict_joint_log_proba": gaussian_predict_joint_log_proba,
        "predict_log_proba": gaussian_predict_log_proba,
        "predict_proba": gaussian_predict_proba,
    }),
    "MultinomialNB": methods(Multinomial, {
        "fit": multinomial_fit,
        "partial_fit": multinomial_partial_fit,
        "predict": multinomial_predict,
        "predict_joint_log_proba": multinomial_predict_joint_log_proba,
        "predict_log_proba": multinomial_predict_log_proba,
        "predict_proba": multinomial_predict_proba,
    }),
}
