# SPDX-License-Identifier: Apache-2.0
"""A tf.data pipeline: mapped, batched, prefetched."""

import keras
import tensorflow as tf
from keras import layers
from shapes import load_data, show

keras.utils.set_random_seed(13)
x, y = load_data(384, seed=25)
train = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(384, seed=1).batch(32).prefetch(2)
model = keras.Sequential([
    keras.Input((32, 32, 3)), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
    layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
    layers.Dense(4, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train, epochs=8, verbose=0)

images, labels = load_data(150, seed=26)
test = tf.data.Dataset.from_tensor_slices((images, labels))
test = test.map(lambda image, label: (tf.clip_by_value(image, 0.0, 1.0), label)).batch(16)
show(model.predict(test, verbose=0).argmax(axis=1))
show(model.predict(test.map(lambda image, label: image), verbose=0, steps=6).argmax(axis=1))
results = model.evaluate(test, verbose=0, return_dict=True)
assert results["accuracy"] > 0.8, results
