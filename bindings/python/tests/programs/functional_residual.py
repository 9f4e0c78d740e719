# SPDX-License-Identifier: Apache-2.0
"""A residual network in the functional API, with batch normalization, read image by image."""

import keras
import numpy as np
from keras import layers
from shapes import NAMES, load_data, show

keras.utils.set_random_seed(2)


def block(x, filters, stride):
    shortcut = layers.Conv2D(filters, 1, strides=stride)(x) if stride > 1 else x
    x = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(layers.add([x, shortcut]))


inputs = keras.Input((32, 32, 3))
x = layers.Rescaling(2.0, offset=-1.0)(inputs)
x = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
x = block(x, 16, 1)
x = block(x, 32, 2)
x = layers.GlobalAveragePooling2D()(x)
model = keras.Model(inputs, layers.Dense(len(NAMES))(x), name="residual")
model.compile(optimizer=keras.optimizers.Adam(3e-3),
              loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
x_train, y_train = load_data(384, seed=3)
model.fit(x_train, y_train, epochs=12, batch_size=32, verbose=0)

images, _ = load_data(150, seed=4)
found = []
for image in images:
    logits = model.predict_on_batch(image[np.newaxis])
    found.append(int(np.argmax(logits)))
show(found)
