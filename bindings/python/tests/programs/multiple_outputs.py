# SPDX-License-Identifier: Apache-2.0
"""One network, two answers: which shape it is, and whether its colour is warm. As a dictionary."""

import keras
import numpy as np
from keras import layers
from shapes import NAMES, load_data, show

keras.utils.set_random_seed(4)
x, shape = load_data(384, seed=7)
x[::2, :, :, 0] += 0.3
warm = (np.arange(len(x)) % 2 == 0).astype("int32")

inputs = keras.Input((32, 32, 3), name="image")
h = layers.Conv2D(16, 3, activation="relu")(inputs)
h = layers.MaxPooling2D()(h)
h = layers.Conv2D(32, 3, activation="relu")(h)
h = layers.MaxPooling2D()(h)
h = layers.Flatten()(h)
model = keras.Model(inputs, {
    "shape": layers.Dense(len(NAMES), activation="softmax", name="shape")(h),
    "warm": layers.Dense(2, activation="softmax", name="warm")(h),
})
model.compile("adam", {"shape": "sparse_categorical_crossentropy",
                       "warm": "sparse_categorical_crossentropy"}, metrics={"shape": ["accuracy"]})
model.fit({"image": x}, {"shape": shape, "warm": warm}, epochs=10, verbose=0)

test, _ = load_data(160, seed=8)
answers = model.predict({"image": test}, verbose=0)
show(answers["shape"].argmax(axis=-1), answers["warm"].argmax(axis=-1))
results = model.evaluate({"image": x}, {"shape": shape, "warm": warm}, verbose=0, return_dict=True)
assert results["shape_accuracy"] > 0.9, results
