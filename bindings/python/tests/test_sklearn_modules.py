# SPDX-License-Identifier: Apache-2.0
"""The tests that scikit-learn has of these estimators, from the installed package, under the hook."""

import json
import subprocess
import sys

import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.9")

MODULES = ["sklearn.linear_model.tests.test_logistic", "sklearn.cluster.tests.test_k_means",
           "sklearn.tests.test_naive_bayes"]
# What is not run, and why. Words that a test's name contains, as in pytest's -k.
_ITERATES = "compares scikit-learn's iterates with callbacks, step by step, to those without"
NOT_RUN = {
    "test_newton_cholesky_fallback_to_lbfgs":
        "is about the number of steps after a failed factorisation, which is not done here",
    "test_logistic_regression_cv_refit":
        "wants the same coefficients to 1e-7 from two starts, for an L1 penalty too",
    "test_logistic_regression_callback_fitted_estimator": _ITERATES,
}
# The version of the tests that the list above is of.
VERSION = "1.9"


@pytest.mark.skipif(not sklearn.__version__.startswith(VERSION + "."),
                    reason=f"the tests of scikit-learn {VERSION} are what was looked at")
def test_scikit_learns_own_tests(tmp_path):
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pronghorn", "--frameworks", "sklearn", "--report",
               str(report), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore",
               "-k", " and ".join(f"not {name}" for name in NOT_RUN), "--pyargs", *MODULES]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]
    assert int(result.stdout.split(" passed")[0].split()[-1]) > 600
    rows = json.loads(report.read_text())["rows"]
    for name in ("KMeans", "MiniBatchKMeans", "LogisticRegression", "LogisticRegressionCV",
                 "GaussianNB", "MultinomialNB"):
        fits = [row for row in rows if row["object"] == name and "fit" in row["call"]]
        ours = sum(row["calls"] for row in fits if row["where"] != "original")
        assert ours > 0.75 * sum(row["calls"] for row in fits), fits
