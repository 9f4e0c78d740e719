#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many labels of k-means in float32 differ between systems and numbers of threads.

  bench/peers/kmeans_labels.py --json bench/results/ml/kmeans-labels-float32.json

Every run starts from the same centres and makes the same number of iterations, in a process of its
own with its own number of threads. The labels of scikit-learn's run in float64 of the same values
are what all are compared to.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import ml_data
import numpy as np
import sklearn

RUNS = [("scikit-learn", "float64", 2), ("scikit-learn", "float32", 1), ("scikit-learn", "float32", 2),
        ("scikit-learn", "float32", 3), ("scikit-learn-intelex", "float32", 2),
        ("pronghorn", "float64", 2), ("pronghorn", "float32", 1), ("pronghorn", "float32", 2)]


def fit(system: str, dtype: str, options, folder: str) -> None:
    if system == "pronghorn":
        from pronghorn.sklearn import KMeans
    elif system == "scikit-learn":
        from sklearn.cluster import KMeans
    else:
        from sklearnex.cluster import KMeans
    x = np.load(os.path.join(folder, "x.npy"))
    start = x[np.random.RandomState(2).choice(len(x), options.clusters, replace=False)]
    model = KMeans(options.clusters, init=start.astype(dtype), n_init=1, tol=0,
                   max_iter=options.iterations).fit(x.astype(dtype, copy=False))
    np.save(os.path.join(folder, "labels.npy"), model.labels_.astype(np.int32))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--set", choices=ml_data.names(), default="blobs-64")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--clusters", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--json")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        fit(*options.one[:2], options, options.one[2])
        return 0
    labels = {}
    with tempfile.TemporaryDirectory() as folder:
        x = ml_data.make(options.set, "float32", options.rows)[0]
        np.save(os.path.join(folder, "x.npy"), x)
        for system, dtype, threads in RUNS:
            command = [sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--one", system, dtype,
                       folder]
            done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": str(threads)},
                                  capture_output=True, text=True)
            if done.returncode:
                print(f"{system} did not run: {done.stderr.strip().splitlines()[-1]}",
                      file=sys.stderr)
                continue
            labels[f"{system} {dtype}, threads {threads}"] = np.load(
                os.path.join(folder, "labels.npy"))
    exact = next(iter(labels.values()))
    report = {
        "schema": "pronghorn-kmeans-labels-1",
        "command": " ".join(["bench/peers/kmeans_labels.py", *sys.argv[1:]]),
        "set": options.set, "rows": len(exact), "clusters": options.clusters,
        "iterations": options.iterations, "scikit_learn": sklearn.__version__,
        "rows_labelled_otherwise_than_scikit_learn_float64":
            {name: int((found != exact).sum()) for name, found in labels.items()},
        "rows_labelled_otherwise": {
            name: {other: int((found != theirs).sum()) for other, theirs in labels.items()}
            for name, found in labels.items()},
    }
    print(json.dumps(report, indent=1))
    if options.json:
        with open(options.json + ".part", "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
        os.replace(options.json + ".part", options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
