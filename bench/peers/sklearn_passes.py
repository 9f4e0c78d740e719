#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scikit-learn takes for the passes that ml_bench times, on data of the same shapes (random
blobs, float32). Iterations are those of a fit of five; what a fit does once is in them.

  bench/peers/sklearn_passes.py [ROWS]
"""
import sys
import time
import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

RANDOM = np.random.default_rng(0)


def blobs(rows, columns, groups, spread):
    points = (spread * RANDOM.standard_normal((groups, columns))).astype(np.float32)
    group = RANDOM.integers(0, groups, rows)
    x = points[group]
    x += RANDOM.standard_normal((rows, columns), dtype=np.float32)
    return x, group


def least(call, times):
    best, result = float("inf"), None
    for _ in range(times):
        start = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - start)
    return best * 1e3, result


def say(name, milliseconds):
    print(f'{{"pass": "{name}", "ms": {milliseconds:.2f}}}', flush=True)


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    warnings.filterwarnings("ignore")
    x, group = blobs(rows, 64, 64, 0.3)
    ms, model = least(lambda: KMeans(64, init=x[:64].copy(), n_init=1, max_iter=5, tol=0,
                                     algorithm="lloyd").fit(x), 2)
    say("kmeans lloyd", ms / model.n_iter_)
    say("kmeans predict", least(lambda: model.predict(x), 2)[0])
    x, group = blobs(rows, 64, 16, 1.0)
    ms, model = least(lambda: GaussianNB().fit(x, group), 1)
    say("gaussian_nb fit", ms)
    say("gaussian_nb predict", 10 * least(lambda: model.predict(x[:rows // 10]), 1)[0])
    x, group = blobs(rows // 2, 128, 10, 0.3)
    for y, name in ((group, "logistic 10 classes"), (group & 1, "logistic 2 classes")):
        ms, model = least(lambda y=y: LogisticRegression(max_iter=5).fit(x, y), 1)
        say(name, ms / model.n_iter_[0])


if __name__ == "__main__":
    main()
