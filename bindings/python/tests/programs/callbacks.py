# SPDX-License-Identifier: Apache-2.0
"""Callbacks that watch training, evaluation and prediction; a checkpoint that is loaded again."""

import os
import tempfile

import keras
import numpy as np
from keras import layers
from shapes import load_data, show


class Watcher(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.events, self.seen = [], []

    def on_predict_begin(self, logs=None):
        self.events.append("begin")

    def on_predict_batch_begin(self, batch, logs=None):
        self.events.append(f"in {batch}")

    def on_predict_batch_end(self, batch, logs=None):
        self.events.append(f"out {batch}")
        self.seen.append(np.array(logs["outputs"]).shape)

    def on_predict_end(self, logs=None):
        self.events.append("end")
        assert isinstance(self.model, keras.Model)

    def on_test_batch_end(self, batch, logs=None):
        assert logs["accuracy"] <= 1

    def on_test_end(self, logs=None):
        self.events.append("tested " + " ".join(sorted(logs)))


keras.utils.set_random_seed(6)
x, y = load_data(384, seed=11)
model = keras.Sequential([
    keras.Input((32, 32, 3)), layers.Conv2D(16, 3, strides=2, activation="relu"),
    layers.Conv2D(32, 3, strides=2, activation="relu"), layers.Flatten(),
    layers.Dense(4, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "best.weights.h5")
    model.fit(x, y, epochs=12, verbose=0, validation_split=0.2, callbacks=[
        keras.callbacks.ModelCheckpoint(path, save_weights_only=True),
        keras.callbacks.EarlyStopping(patience=5),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: model.predict(x[:8], verbose=0)),
    ])
    first = model.predict(x[:100], verbose=0, batch_size=25)
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    assert np.ptp(model.predict(x[:100], verbose=0)) < 1e-6
    model.load_weights(path)

watcher = Watcher()
show(model.predict(x[:100], batch_size=40, verbose=0, callbacks=[watcher]).argmax(axis=1))
model.evaluate(x, y, verbose=0, callbacks=[watcher])
print("labels", watcher.events, watcher.seen)
