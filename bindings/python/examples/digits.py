# SPDX-License-Identifier: Apache-2.0
"""Handwritten digits with scikit-learn's classes alone: run it as `python -m pronghorn -v digits.py`, or
as any other program, and compare.

The best C of a logistic regression in a pipeline, a Gaussian naive Bayes, and clusters of digits."""

import argparse
import time

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    x, y = load_digits(return_X_y=True)
    x = x.astype(np.float32)
    train, test, known, asked = train_test_split(x, y, test_size=0.3, random_state=options.seed,
                                                 stratify=y)
    start = time.perf_counter()
    search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
                          {"logisticregression__C": [0.01, 0.1, 1.0]}, cv=3).fit(train, known)
    print(f"logistic regression, C = {search.best_params_['logisticregression__C']}: "
          f"{search.score(test, asked):.3f} of {len(test)} right")
    bayes = GaussianNB(var_smoothing=1e-3).fit(train, known)
    print(f"Gaussian naive Bayes: {bayes.score(test, asked):.3f} right")
    clusters = KMeans(10, n_init=4, random_state=options.seed).fit(x)
    print(f"10 clusters, inertia {clusters.inertia_:.0f}, Rand index against the digits "
          f"{adjusted_rand_score(y, clusters.labels_):.3f}")
    print(f"{time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
