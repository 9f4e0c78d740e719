# SPDX-License-Identifier: Apache-2.0
"""Runs a program whose ResNet50(weights="imagenet") finds weights of this machine instead.

    with_shared_weights.py WEIGHTS.h5 PROGRAM
Nothing else is redirected but the names of the classes, of which these weights have 200.
"""

import runpy
import sys

import keras
import numpy as np
from keras.applications import resnet50

weights_file, program = sys.argv[1:]
build = resnet50.ResNet50


def ResNet50(weights="imagenet", **options):
    assert weights == "imagenet"
    return build(weights=weights_file, classes=200, **options)


def decode_predictions(preds, top=5):
    return [[(f"n{i:08d}", f"class {i}", float(row[i])) for i in np.argsort(row)[::-1][:top]]
            for row in preds]


resnet50.ResNet50 = keras.applications.ResNet50 = ResNet50
resnet50.decode_predictions = decode_predictions
sys.argv = [program]
runpy.run_path(program, run_name="__main__")
