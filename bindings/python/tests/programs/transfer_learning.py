# SPDX-License-Identifier: Apache-2.0
"""A frozen base as a layer of a new model: train the head, predict, then fine-tune it all."""

import keras
from keras import layers
from shapes import NAMES, load_data, show

keras.utils.set_random_seed(3)
x, y = load_data(384, seed=5)
test, _ = load_data(200, seed=6)

base = keras.Sequential([
    keras.Input((32, 32, 3)),
    layers.Conv2D(16, 3, activation="relu"),
    layers.MaxPooling2D(),
    layers.Conv2D(32, 3, activation="relu"),
    layers.MaxPooling2D(),
], name="base")
full = keras.Sequential([base, layers.Flatten(), layers.Dense(4, activation="softmax")])
full.compile("adam", "sparse_categorical_crossentropy")
full.fit(x, y, epochs=8, verbose=0)

base.trainable = False
inputs = keras.Input((32, 32, 3))
features = base(inputs, training=False)
outputs = layers.Dense(len(NAMES), activation="softmax")(
    layers.Dropout(0.2)(layers.Flatten()(features)))
model = keras.Model(inputs, outputs)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=10, verbose=0)
show(model.predict(test, verbose=0).argmax(axis=1))

base.trainable = True
model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=4, verbose=0)
show(model.predict(test, verbose=0).argmax(axis=1))
