# SPDX-License-Identifier: Apache-2.0
"""Batches from a PyDataset with workers: predict and evaluate in the order of the files."""

import math

import keras
import numpy as np
from keras import layers
from shapes import load_data, show


class Shapes(keras.utils.PyDataset):
    def __init__(self, x, y, batch_size, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self):
        return math.ceil(len(self.x) / self.batch_size)

    def __getitem__(self, index):
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.x[part], self.y[part]


keras.utils.set_random_seed(5)
x, y = load_data(320, seed=9)
model = keras.Sequential([
    layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
    layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
    layers.Dense(4, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(Shapes(x, y, 32), epochs=10, verbose=0)

test = Shapes(*load_data(150, seed=10), batch_size=16, workers=2)
predictions = model.predict(test, verbose=0)
show(predictions.argmax(axis=1))
loss, accuracy = model.evaluate(test, verbose=0)
assert accuracy > 0.8 and np.isfinite(loss), (loss, accuracy)
