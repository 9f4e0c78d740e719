# SPDX-License-Identifier: Apache-2.0
"""Saves a model, loads it as a server would, and answers one request after the other."""

import os
import tempfile

import keras
import numpy as np
from keras import layers
from shapes import load_data, show

keras.utils.set_random_seed(8)
x, y = load_data(384, seed=14)
model = keras.Sequential([
    keras.Input((32, 32, 3)), layers.Conv2D(16, 5, strides=2, activation="relu"),
    layers.MaxPooling2D(), layers.Conv2D(32, 3, activation="relu"), layers.Flatten(),
    layers.Dense(32, activation="relu"), layers.Dense(4, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, y, epochs=10, verbose=0)
with tempfile.TemporaryDirectory() as folder:
    model.save(os.path.join(folder, "served.keras"))
    served = keras.models.load_model(os.path.join(folder, "served.keras"))

requests, _ = load_data(120, seed=15)
answers = []
for image in requests:
    scores = served(keras.ops.convert_to_tensor(image[None]), training=False)
    answers.append(int(keras.ops.argmax(scores[0])))
show(answers)
