# SPDX-License-Identifier: Apache-2.0
"""Features of an inner layer, and the nearest mean of each class instead of a classifier."""

import keras
import numpy as np
from keras import layers
from shapes import load_data, show

keras.utils.set_random_seed(9)
x, y = load_data(384, seed=16)
inputs = keras.Input((32, 32, 3))
h = layers.Conv2D(16, 3, activation="relu")(inputs)
h = layers.MaxPooling2D()(h)
h = layers.Conv2D(32, 3, activation="relu", name="maps")(h)
h = layers.GlobalMaxPooling2D(name="features")(h)
model = keras.Model(inputs, layers.Dense(4, activation="softmax")(h))
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, y, epochs=14, verbose=0)

extractor = keras.Model(model.input, model.get_layer("features").output)
features = extractor.predict(x, verbose=0)
means = np.stack([features[y == label].mean(axis=0) for label in range(4)])
test, _ = load_data(160, seed=17)
distances = np.linalg.norm(extractor.predict(test, verbose=0)[:, None] - means, axis=2)
show(distances.argmin(axis=1))

maps = keras.Model(model.input, [model.get_layer("maps").output, model.output])
activations, scores = maps.predict(test, verbose=0)
assert activations.shape == (160, 13, 13, 32)
show(scores.argmax(axis=1))
