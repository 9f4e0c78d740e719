# SPDX-License-Identifier: Apache-2.0
"""A folder of work, spread over processes: joblib's, and multiprocessing's by fork and spawn."""

import multiprocessing
import os
import sys
import tempfile

import joblib
import keras
import numpy as np
from keras import layers
from shapes import load_data, show


def make(path):
    keras.utils.set_random_seed(12)
    x, y = load_data(384, seed=20)
    model = keras.Sequential([
        keras.Input((32, 32, 3)), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
        layers.Dense(4, activation="softmax"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=8, verbose=0)
    model.save(path)
    return model


def classify(path, seed):
    model = keras.models.load_model(path)
    return model.predict(load_data(100, seed=seed)[0], verbose=0).argmax(axis=1)


def classify_inherited(seed):
    return MODEL.predict(load_data(100, seed=seed)[0], verbose=0).argmax(axis=1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        MODEL = make(path)
        show(MODEL.predict(load_data(100, seed=21)[0], verbose=0).argmax(axis=1))
        parts = joblib.Parallel(n_jobs=2)(joblib.delayed(classify)(path, seed) for seed in (21, 22))
        show(np.concatenate(parts))
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            show(np.concatenate(pool.starmap(classify, [(path, 21), (path, 23)])))
        if "--fork" in sys.argv:
            with multiprocessing.get_context("fork").Pool(2) as pool:
                show(np.concatenate(pool.map(classify_inherited, [21, 24])))
