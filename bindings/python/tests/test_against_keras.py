# SPDX-License-Identifier: Apache-2.0
"""Our networks are Keras's: the same weights in the same order give the same outputs. Needs Keras."""

import numpy as np
import pytest

from pronghorn.keras import applications, utils

keras = pytest.importorskip("keras", reason="Keras is not installed")


def _randomized(model, rng):
    """Weights that keep signals alive and make every batch norm count."""
    result = []
    for variable in model.weights:
        w = np.asarray(variable)
        if "gamma" in variable.path or "variance" in variable.path:
            w = rng.uniform(0.8, 1.2, w.shape)
        elif w.ndim == 1:
            w = rng.normal(0, 0.1, w.shape)
        result.append(w.astype(np.float32))
    return result


@pytest.mark.parametrize("name, options", [
    ("ResNet50", {"include_top": False, "pooling": "avg", "input_shape": (64, 64, 3)}),
    ("ResNet101", {"include_top": False, "pooling": "max", "input_shape": (64, 64, 3)}),
    ("MobileNet", {"classes": 10, "input_shape": (64, 64, 3)}),
    ("MobileNet", {"include_top": False, "input_shape": (96, 64, 3), "alpha": 0.5}),
])
def test_same_weights_same_outputs(name, options):
    rng = np.random.default_rng(7)
    theirs = getattr(keras.applications, name)(weights=None, **options)
    ours = getattr(applications, name)(weights=None, **options)
    weights = _randomized(theirs, rng)
    assert [w.shape for w in weights] == [w.shape for w in ours.get_weights()]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    height, width, _ = options["input_shape"]
    x = rng.normal(0, 1, (2, height, width, 3)).astype(np.float32)
    want = theirs.predict(x, verbose=0)
    got = ours.predict(x)
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= 2e-4 * np.abs(want).max()
    assert ours.count_params() == theirs.count_params()


def test_loading_images_is_the_same(folder):
    path = next(folder.rglob("*.png"))
    for options in ({}, {"target_size": (20, 24)}, {"target_size": (20, 24), "keep_aspect_ratio": True},
                    {"color_mode": "grayscale", "target_size": (9, 9), "interpolation": "bilinear"}):
        want = keras.utils.img_to_array(keras.utils.load_img(path, **options))
        assert np.array_equal(utils.img_to_array(utils.load_img(path, **options)), want)


def test_folders_are_read_alike(folder):
    options = {"image_size": (20, 24), "shuffle": False, "batch_size": 4}
    try:
        theirs = keras.utils.image_dataset_from_directory(folder, **options)
    except ImportError:  # before 3.13 whatever the backend is
        pytest.skip("this Keras reads folders with TensorFlow")
    ours = utils.image_dataset_from_directory(folder, **options)
    assert ours.class_names == theirs.class_names and ours.file_paths == theirs.file_paths
    for (x, y), (want_x, want_y) in zip(ours, theirs):
        assert np.allclose(x, np.asarray(want_x), atol=1e-3)
        assert np.array_equal(y, np.asarray(want_y))


def test_whole_models_with_scaling_inside_and_several_outputs(tmp_path):
    from pronghorn.keras import load_model

    keras.utils.set_random_seed(11)
    image = keras.Input((24, 20, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    features = keras.layers.GlobalAveragePooling2D(name="features")(x)
    classes = keras.layers.Dense(5, activation="softmax", name="classes")(features)
    theirs = keras.Model(image, [classes, x, features])
    theirs.save(tmp_path / "three.keras")
    ours = load_model(tmp_path / "three.keras")
    pixels = np.random.default_rng(3).integers(0, 256, (5, 24, 20, 3)).astype(np.uint8)
    want = theirs.predict(pixels.astype(np.float32), verbose=0)
    for given in (pixels, pixels.astype(np.float32)):
        got = ours.predict(given, batch_size=2)
        assert [g.shape for g in got] == [w.shape for w in want]
        for g, w in zip(got, want):
            assert np.abs(g - w).max() <= 1e-4 * max(1.0, np.abs(w).max())
    assert ours.preprocess_input(pixels) is pixels
    assert ours.output_shape == [(None, 5), (None, 11, 9, 8), (None, 8)]


def test_datasets_of_tensorflow_and_keras_callbacks():
    import pronghorn.keras as ours

    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend")
    import tensorflow as tf

    model = ours.applications.MobileNet(weights=None, input_shape=(32, 32, 3), classes=4, alpha=0.25)
    x = np.random.default_rng(1).normal(0, 1, (10, 32, 32, 3)).astype(np.float32)
    want = model.predict(x)
    assert np.array_equal(model.predict(tf.data.Dataset.from_tensor_slices(x).batch(4)), want)
    assert np.array_equal(model.predict(tf.constant(x)), want)
    seen = []
    callback = keras.callbacks.LambdaCallback()
    callback.on_predict_batch_end = lambda batch, logs=None: seen.append(batch)
    model.predict(x, batch_size=5, callbacks=[callback])
    assert seen == [0, 1]
