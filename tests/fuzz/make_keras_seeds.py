#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the small Keras files in tests/fuzz/seeds (needs keras 3, tf_keras and tensorflow).

  tests/fuzz/make_keras_seeds.py
"""
from pathlib import Path

import keras
import tf_keras

FOLDER = Path(__file__).parent / "seeds"


def net(k):
    layers = k.layers
    x = image = k.Input((6, 6, 3), name="image")
    x = layers.ZeroPadding2D(1, name="pad")(x)
    x = layers.Conv2D(2, 3, name="conv")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = y = layers.Activation("relu", name="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Add(name="add")([x, y])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(2, activation="softmax", name="predictions")(x)
    return k.Model(image, x)


def main():
    FOLDER.mkdir(exist_ok=True)
    for k, version in ((keras, 3), (tf_keras, 2)):
        k.utils.set_random_seed(1)
        model = net(k)
        model.save(FOLDER / f"keras_h5_fuzz-v{version}-model.h5", include_optimizer=False)
        model.save(FOLDER / f"keras_zip_fuzz-v{version}.keras")
        model.save_weights(FOLDER / f"keras_h5_fuzz-v{version}.weights.h5")


if __name__ == "__main__":
    main()
