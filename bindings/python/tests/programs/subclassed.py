# SPDX-License-Identifier: Apache-2.0
"""A model of one's own class, and one with a layer that nobody else knows."""

import keras
from keras import layers
from shapes import load_data, show


class Classifier(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(16, 3, strides=2, activation="relu")
        self.pool = layers.GlobalMaxPooling2D()
        self.head = layers.Dense(4, activation="softmax")

    def call(self, x):
        return self.head(self.pool(self.conv(x)))


class Square(layers.Layer):
    def call(self, x):
        return x * x


keras.utils.set_random_seed(11)
x, y = load_data(256, seed=19)
for model in (Classifier(),
              keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(8, 3), Square(),
                                layers.GlobalMaxPooling2D(), layers.Dense(4, activation="softmax")])):
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=3, verbose=0)
    show(model.predict(x, verbose=0).argmax(axis=1), model.predict_on_batch(x[:9]).argmax(axis=1))
    model.evaluate(x, y, verbose=0)
