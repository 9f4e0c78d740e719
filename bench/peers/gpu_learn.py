#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Passes of machine learning as one writes them in PyTorch, on the shapes of cuda_learn_bench.

  bench/peers/gpu_learn.py [--rows 10000000] > peers.json

One iteration of k-means, loss and gradient of logistic regression, and the moments of classes, float
rows x 64 that are on the GPU already. One JSON line each, medians. Every result is compared with the
same in double on the first 20000 rows before it is timed.
"""
import argparse
import json
import time

COLUMNS, CLUSTERS, CLASSES, GROUPS = 64, 64, 10, 16


def kmeans(torch, x, centers):
    distances = torch.addmm((centers * centers).sum(1), x, centers.T, alpha=-2)
    labels = distances.argmin(1)
    sums = torch.zeros_like(centers).index_add_(0, labels, x)
    return sums, torch.bincount(labels, minlength=CLUSTERS)


def logistic(torch, x, coef, y):
    margins = x @ coef.T
    loss = torch.nn.functional.cross_entropy(margins, y, reduction="sum")
    residuals = torch.softmax(margins, 1)
    residuals[torch.arange(len(x), device=x.device), y] -= 1
    return loss, residuals.T @ x


def moments(torch, x, y):
    first = torch.zeros(GROUPS, COLUMNS, device=x.device, dtype=torch.float64)
    second = torch.zeros_like(first)
    for start in range(0, len(x), 1_000_000):  # as a whole the doubles would take 5 GB
        part = x[start:start + 1_000_000].double()
        groups = y[start:start + 1_000_000]
        first.index_add_(0, groups, part)
        second.index_add_(0, groups, part * part)
    return first, second


def timed(torch, call, repeats=7):
    for _ in range(2):
        call()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    times.sort()
    return {"ms": round(times[len(times) // 2], 3), "best_ms": round(times[0], 3)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    import torch

    torch.manual_seed(1)
    x = torch.randn(rows, COLUMNS, device="cuda")
    centers = x[:CLUSTERS].clone()
    coef = 0.1 * torch.randn(CLASSES, COLUMNS, device="cuda")
    y = torch.randint(0, CLASSES, (rows,), device="cuda")
    groups = torch.randint(0, GROUPS, (rows,), device="cuda")
    passes = {
        "kmeans iteration": (kmeans, [centers]),
        "logistic loss and gradient": (logistic, [coef, y]),
        "gaussian_nb moments": (moments, [groups]),
    }
    for tf32 in (False, True):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        for name, (call, arguments) in passes.items():
            if tf32 and call is moments:
                continue
            few = [a[:20000] if len(a) == rows else a for a in arguments]
            wide = [a.double() if a.is_floating_point() else a for a in few]
            found, exact = call(torch, x[:20000], *few), call(torch, x[:20000].double(), *wide)
            apart = max(float((f.double() - e.double()).norm() / e.double().norm())
                        for f, e in zip(found, exact))
            line = {"peer": f"torch {torch.__version__}", "pass": name + (", TF32" if tf32 else ""),
                    **timed(torch, lambda: call(torch, x, *arguments)), "apart_from_double": apart}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
