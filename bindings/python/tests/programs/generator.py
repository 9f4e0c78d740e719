# SPDX-License-Identifier: Apache-2.0
"""Batches from a Python generator without an end, with a number of steps."""

import keras
from keras import layers
from shapes import load_data, show

keras.utils.set_random_seed(10)
x, y = load_data(384, seed=18)
model = keras.Sequential([
    keras.Input((32, 32, 3)), layers.ZeroPadding2D(1), layers.Conv2D(16, 3, strides=2),
    layers.BatchNormalization(), layers.ReLU(6.0), layers.AveragePooling2D(2), layers.Flatten(),
    layers.Dense(4, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])


def batches(size):
    while True:
        for first in range(0, len(x), size):
            yield x[first:first + size], y[first:first + size]


model.fit(batches(32), steps_per_epoch=12, epochs=20, verbose=0)
show(model.predict(batches(20), steps=8, verbose=0).argmax(axis=1))
source = batches(20)
show(model.predict(source, steps=5, verbose=0).argmax(axis=1))
