#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How far INT8 is from float32, by number of calibration images and method.

  int8_against_float.py MODEL CALIBRATION TEST [--counts 16,64] [--methods mse,minmax]

MODEL is a float model; CALIBRATION and TEST are folders or .tar files of photographs, not the same
ones. For each setting: how often both name the same class first, the mean difference of the scores
in decibels, and, where folders name the classes, the accuracy of both.
"""

import argparse

import numpy as np

import pronghorn


def scores(model: pronghorn.Model, source: pronghorn.Source):
    with pronghorn.Session(model) as session:
        results = [r for r in session.classify(source) if r.error is None]
    return np.stack([r.scores for r in results]), [r.label for r in results]


def accuracy(values: np.ndarray, labels: list, model: pronghorn.Model):
    names = model.label_ids or model.labels
    if not names or not set(labels) <= set(names) | set(model.labels):
        return None
    return np.mean([label in (names[i], model.labels[i])
                    for i, label in zip(values.argmax(1), labels)])


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("calibration")
    parser.add_argument("test")
    parser.add_argument("--counts", default="16,64")
    parser.add_argument("--methods", default="mse,minmax,percentile")
    given = parser.parse_args(arguments)

    model = pronghorn.Model(given.model)
    test = pronghorn.Source(given.test)
    calibration = pronghorn.Source(given.calibration)
    wanted, labels = scores(model, test)
    exact = accuracy(wanted, labels, model)
    print(f"float32: {len(labels)} images" + ("" if exact is None else f", accuracy {exact:.4f}"))
    for method in given.methods.split(","):
        for count in map(int, given.counts.split(",")):
            int8 = pronghorn.quantize(
                model, calibration, method=method, max_images=count, report=False).model
            got, _ = scores(int8, test)
            same = np.mean(got.argmax(1) == wanted.argmax(1))
            noise = np.square(got - wanted).sum()
            decibels = 10 * np.log10(np.square(wanted).sum() / max(noise, 1e-30))
            line = f"int8 {method:>10}, {count:4} images: same class {same:.4f}, {decibels:5.1f} dB"
            right = accuracy(got, labels, int8)
            print(line + ("" if right is None else f", accuracy {right:.4f}"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
