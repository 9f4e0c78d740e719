# SPDX-License-Identifier: Apache-2.0
"""Weights and models in every file of Keras's, both ways, with Keras itself beside us."""

import numpy as np
import pytest

from pronghorn import keras as ours
from pronghorn.keras import applications

keras = pytest.importorskip("keras", reason="Keras is not installed")
pytest.importorskip("h5py", reason="h5py is not installed")
SHAPE = (64, 64, 3)
LAYOUTS = (".keras", ".weights.h5", ".h5")


def trained(name, **options):
    """Keras's network with weights that keep signals alive and make every batch norm count."""
    rng = np.random.default_rng(7)
    model = getattr(keras.applications, name)(weights=None, **{"input_shape": SHAPE, **options})
    model.set_weights([
        rng.uniform(0.8, 1.2, w.shape) if "gamma" in w.path or "variance" in w.path
        else rng.normal(0, 0.5 / np.sqrt(np.prod(w.shape[:-1])), w.shape) for w in model.weights])
    return model


def saved(model, folder, layout):
    path = folder / f"{model.name}{layout}"
    (model.save_weights if layout == ".weights.h5" else model.save)(path)
    return path


@pytest.fixture(scope="module", params=["MobileNet", "ResNet50"])
def network(request, tmp_path_factory):
    """Its name, Keras's model, its files by layout, and what it says to `images()`."""
    model = trained(request.param, classes=7)
    folder = tmp_path_factory.mktemp(request.param)
    files = {layout: saved(model, folder, layout) for layout in LAYOUTS}
    return request.param, model, files, model.predict(images(), verbose=0)


def images(count=2, shape=SHAPE):
    return np.random.default_rng(3).normal(0, 1, (count, *shape)).astype(np.float32)


def close(found, wanted):
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 2e-4 * np.abs(wanted).max()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_of_every_layout(network, layout):
    name, theirs, files, wanted = network
    model = getattr(applications, name)(weights=files[layout], input_shape=SHAPE)
    assert model.name == theirs.name and model.output_shape == (None, 7)
    close(model.predict(images()), wanted)
    for mine, weight in zip(model.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, weight)
    other = "ResNet50" if name == "MobileNet" else "MobileNet"
    for wrong in (other, "ResNet101"):
        with pytest.raises(ValueError, match=f"holds {name}, asked for are weights of {wrong}"):
            getattr(applications, wrong)(weights=files[layout])
    with pytest.raises(ValueError, match=r"\(.*, 9\), the file has \(.*, 7\)"):
        getattr(applications, name)(weights=files[layout], classes=9)


@pytest.mark.parametrize("pooling", [None, "avg", "max"])
def test_features_of_another_size(network, pooling):
    name, theirs, files, _ = network
    shape = (96, 64, 3)
    options = {"include_top": False, "pooling": pooling, "input_shape": shape}
    bare = getattr(keras.applications, name)(weights=None, **options)
    bare.set_weights(theirs.get_weights()[:len(bare.weights)])
    model = getattr(applications, name)(weights=files[".weights.h5"], name="mine", **options)
    assert model.name == "mine" and model.input_shape == (None, *shape)
    close(model.predict(images(shape=shape)), bare.predict(images(shape=shape), verbose=0))


@pytest.mark.parametrize("layout", [".keras", ".h5"])
def test_a_whole_file_is_recognised_and_kerass_readers_take_what_we_write(network, layout, tmp_path):
    name, theirs, files, wanted = network
    model = ours.load_model(files[layout])
    x = images()
    weights = model.get_weights()
    model.save(tmp_path / "same.keras")
    model.save_weights(tmp_path / "same.weights.h5")
    model.set_weights([w * np.float32(1.01) for w in weights])
    assert not np.array_equal(model.predict(x), wanted)
    model.load_weights(tmp_path / "same.weights.h5")
    close(model.predict(x), wanted)
    again = keras.models.load_model(tmp_path / "same.keras")
    same_network(again, theirs)
    again.set_weights([np.zeros_like(w) for w in weights])
    again.load_weights(tmp_path / "same.weights.h5")
    same_network(again, theirs)
    close(ours.load_model(tmp_path / "same.keras").predict(x), wanted)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def same_network(found, wanted):
    """Layer by layer the same settings, the same inputs and the same weights."""
    for mine, theirs in zip(found.layers, wanted.layers, strict=True):
        assert type(mine) is type(theirs)
        settings, their_settings = mine.get_config(), theirs.get_config()
        for name in their_settings:
            if name not in ("name", "rate", "target_shape"):
                assert settings[name] == their_settings[name], (theirs.name, name)
        assert mine.output.shape == theirs.output.shape
        if theirs.weights:
            assert mine.name == theirs.name
    for mine, weight in zip(found.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, weight)


@pytest.mark.parametrize("name, options", [
    ("ResNet101", {"include_top": False, "pooling": "max"}),
    ("ResNet152", {"include_top": False}),
    ("MobileNet", {"classes": 3, "alpha": 0.25, "classifier_activation": None}),
])
def test_our_keras_files_of_other_forms(name, options, tmp_path):
    theirs = getattr(keras.applications, name)(weights=None, input_shape=SHAPE, **options)
    model = getattr(applications, name)(weights=None, input_shape=SHAPE, **options)
    model.set_weights(theirs.get_weights())
    model.save(tmp_path / "m.keras")
    same_network(keras.models.load_model(tmp_path / "m.keras"), theirs)
    found = ours.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(found.predict(images(1)), model.predict(images(1)))
    for mine, weight in zip(found.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, weight)


def test_weights_of_any_whole_model_come_in_kerass_order(tmp_path):
    keras.utils.set_random_seed(2)
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3),
                              keras.layers.BatchNormalization(), keras.layers.Conv2D(5, 1)])
    model = keras.Sequential([keras.Input((8, 8, 3)), inner, keras.layers.Flatten(),
                              keras.layers.Dense(3, activation="softmax")])
    for layout in (".keras", ".h5"):
        path = saved(model, tmp_path, layout)
        found = ours.load_model(path)
        if layout == ".keras":
            for mine, weight in zip(found.get_weights(), model.get_weights(), strict=True):
                np.testing.assert_array_equal(mine, weight)
        with pytest.raises(NotImplementedError, match="applications"):
            found.set_weights(model.get_weights())
        with pytest.raises(NotImplementedError, match="onnx"):
            found.save(tmp_path / "other.keras")


def test_files_that_are_no_weights(tmp_path):
    import h5py

    (tmp_path / "cut.keras").write_bytes(b"PK\x03\x04 and no more")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = np.arange(5)
    model = applications.MobileNet(weights=None, input_shape=(32, 32, 3), classes=3)
    for name in ("cut.keras", "other.h5", "none.h5"):
        for call in (lambda p: applications.MobileNet(weights=p), model.load_weights):
            with pytest.raises((ValueError, NotImplementedError, FileNotFoundError), match=name):
                call(tmp_path / name)
    with pytest.raises(ValueError, match="fixed input"):
        applications.ResNet50(weights="tin200", include_top=False, input_shape=(96, 96, 3))


def test_imagenet_weights_are_found_in_both_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("PRONGHORN_CACHE", str(tmp_path / "ours"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "keras" / "models").mkdir(parents=True)
    model = trained("MobileNet", input_shape=(224, 224, 3), alpha=0.25)
    with pytest.raises(FileNotFoundError, match="mobilenet_2_5_224_tf.h5"):
        applications.MobileNet(alpha=0.25)
    with pytest.raises(FileNotFoundError, match="pronghorn pull resnet101-keras"):
        applications.ResNet101()
    model.save(tmp_path / "keras" / "models" / "mobilenet_2_5_224_tf.h5")
    x = images(1, (224, 224, 3))
    close(applications.MobileNet(alpha=0.25).predict(x), model.predict(x, verbose=0))
