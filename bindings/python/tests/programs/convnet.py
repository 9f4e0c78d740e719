# SPDX-License-Identifier: Apache-2.0
"""A small convnet from scratch: fit, evaluate, predict."""

import keras
from keras import layers
from shapes import NAMES, load_data, show

keras.utils.set_random_seed(1)
x_train, y_train = load_data(384, seed=1)
x_test, y_test = load_data(200, seed=2)

model = keras.Sequential([
    keras.Input(shape=(32, 32, 3)),
    layers.Conv2D(16, kernel_size=(3, 3), activation="relu"),
    layers.MaxPooling2D(pool_size=(2, 2)),
    layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
    layers.MaxPooling2D(pool_size=(2, 2)),
    layers.Flatten(),
    layers.Dropout(0.5),
    layers.Dense(len(NAMES), activation="softmax"),
])
model.summary(print_fn=lambda line: None)
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(x_train, keras.utils.to_categorical(y_train), batch_size=32, epochs=8, verbose=0,
          validation_split=0.1)
score = model.evaluate(x_test, keras.utils.to_categorical(y_test), verbose=0)
assert len(score) == 2 and 0 < score[0] < 2, score
show(model.predict(x_test, verbose=0).argmax(axis=1))
