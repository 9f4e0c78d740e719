# SPDX-License-Identifier: Apache-2.0
"""pronghorn.keras keeps Keras's contract."""

import pickle

import numpy as np
import pytest

import pronghorn
from pronghorn import keras
from pronghorn.keras import applications

from conftest import shared


@pytest.fixture(scope="module")
def model(colours):
    return keras.models.wrap(colours)


def test_predict_gives_probabilities_in_order(model, pixels):
    p = model.predict(pixels, verbose=0)
    assert p.shape == (6, 4) and p.dtype == np.float32
    assert np.allclose(p.sum(1), 1, atol=1e-5) and p.argmax(1).tolist() == [0, 1, 2, 0, 1, 2]
    for size in (1, 2, 4, 100):
        assert np.array_equal(model.predict(pixels, batch_size=size), p)
    assert np.array_equal(model.predict(list(pixels)), p)
    assert np.array_equal(model.predict_on_batch(pixels), p)
    assert np.array_equal(model(pixels, training=False), p)
    assert np.array_equal(model.predict(pixels, batch_size=2, steps=2), p[:4])
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(pixels), p)


def test_predict_takes_datasets_and_iterables(model, pixels):
    p = model.predict(pixels)

    class PyDataset:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return pixels[2 * i : 2 * i + 2], np.zeros(2)

    def batches():
        while True:
            yield pixels[:4]

    assert np.array_equal(model.predict(PyDataset()), p)
    assert np.array_equal(model.predict(batches(), steps=1), p[:4])


def test_callbacks_see_every_batch(model, pixels):
    events = []

    class Callback:
        def set_model(self, m):
            events.append(m)

        def on_predict_begin(self, logs=None):
            events.append("begin")

        def on_predict_batch_end(self, batch, logs=None):
            events.append((batch, logs["outputs"].shape))

        def on_predict_end(self, logs=None):
            events.append("end")

    model.predict(pixels, batch_size=4, callbacks=[Callback()])
    assert events == [model, "begin", (0, (4, 4)), (1, (2, 4)), "end"]


def test_evaluate(model, pixels):
    y = np.array([0, 1, 2, 0, 1, 0])
    p = model.predict(pixels)
    loss, accuracy = model.evaluate(pixels, y, batch_size=4, verbose=0)
    assert accuracy == pytest.approx(5 / 6)
    assert loss == pytest.approx(float(-np.log(p[np.arange(6), y]).mean()), rel=1e-5)
    one_hot = model.evaluate(pixels, np.eye(4)[y], return_dict=True)
    assert one_hot == {"loss": pytest.approx(loss), "accuracy": pytest.approx(accuracy)}


def test_summary_and_shapes(model, capsys):
    model.summary()
    text = capsys.readouterr().out
    assert "Conv" in text and "Total params" in text
    assert model.input_shape == (None, 32, 32, 3) and model.output_shape == (None, 4)


@pytest.mark.parametrize("pooling, shape", [(None, (2, 2, 2, 1024)), ("avg", (2, 1024)),
                                            ("max", (2, 1024))])
def test_features(pooling, shape):
    keras.utils.set_random_seed(3)
    model = applications.MobileNet(weights=None, include_top=False, pooling=pooling,
                                   input_shape=(64, 64, 3))
    x = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    assert model.predict(x).shape == shape


def test_weights_travel_and_files_come_back(tmp_path):
    keras.utils.set_random_seed(5)
    one = applications.MobileNet(weights=None, input_shape=(32, 32, 3), classes=5, alpha=0.25)
    two = applications.MobileNet(weights=None, input_shape=(32, 32, 3), classes=5, alpha=0.25)
    weights = one.get_weights()
    rng = np.random.default_rng(2)
    weights = [w + rng.uniform(0, 0.3, w.shape).astype(np.float32) for w in weights]
    one.set_weights(weights)
    two.set_weights(weights)
    x = rng.integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
    x = applications.mobilenet.preprocess_input(x)
    p = one.predict(x)
    assert np.array_equal(two.predict(x), p) and np.allclose(p.sum(1), 1, atol=1e-5)
    assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), weights))
    assert one.count_params() == sum(w.size for w in weights)
    one.save(tmp_path / "m.onnx")
    assert np.allclose(keras.load_model(tmp_path / "m.onnx").predict(x), p, atol=1e-6)
    with pytest.raises(NotImplementedError, match="onnx or .keras"):
        one.save(tmp_path / "m.txt")


def test_networks_have_keras_numbers_of_parameters():
    counts = {"resnet50": 25636712, "resnet101": 44707176, "resnet152": 60419944,
              "mobilenet": 4253864}
    for family, count in counts.items():
        network = keras._networks.Network(family, (224, 224, 3), True, None, 1000, True)
        assert sum(layer.parameters for layer in network.layers) == count


def test_preprocess_input():
    x = np.full((1, 2, 2, 3), (10, 20, 30), np.uint8)
    caffe = applications.resnet50.preprocess_input(x)
    assert np.allclose(caffe[0, 0, 0], [30 - 103.939, 20 - 116.779, 10 - 123.68])
    assert np.allclose(applications.mobilenet.preprocess_input(x)[0, 0, 0],
                       [10 / 127.5 - 1, 20 / 127.5 - 1, 30 / 127.5 - 1])
    assert x[0, 0, 0, 0] == 10  # the caller's array stays


def test_int8_models_take_pixels_and_want_no_preprocess(model, pixels):
    int8 = model.quantize(pixels)
    assert int8.preprocess_input(pixels) is pixels
    p = int8.predict(pixels)
    assert np.array_equal(int8.predict(pixels.astype(np.float32)), p)
    assert np.array_equal(p.argmax(1), model.predict(pixels).argmax(1))
    assert int8.decode_predictions(p, top=2)[0][0][1] == "red"


def test_flow_from_directory_keeps_order(model, folder, pixels):
    generator = keras.preprocessing.image.ImageDataGenerator()
    flow = generator.flow_from_directory(folder, target_size=(32, 32), batch_size=4, shuffle=False,
                                         class_mode="sparse")
    assert flow.class_indices == {"blue": 0, "green": 1, "red": 2} and len(flow) == 2
    assert flow.filenames == ["blue/2.png", "blue/5.png", "green/1.png", "green/4.png", "red/0.png",
                              "red/3.png"]
    assert flow.classes.tolist() == [0, 0, 1, 1, 2, 2]
    by_array = keras.Model(model.native.with_preprocess("torch"), softmax=True)
    order = [int(name.split("/")[1][0]) for name in flow.filenames]
    images = np.concatenate([flow[i][0] for i in range(2)])
    assert np.array_equal(images, pixels[order].astype(np.float32))
    quantized = model.quantize(pixels)
    assert np.array_equal(quantized.predict(flow), quantized.predict(pixels[order]))
    shuffled = generator.flow_from_directory(folder, (32, 32), seed=1)
    assert shuffled[0][1].shape == (6, 3) and sorted(shuffled.index_array) == list(range(6))
    assert by_array.evaluate(flow)[1] <= 1


def test_flow_from_dataframe_keeps_its_order(folder, pixels):
    frame = {"filename": ["red/3.png", "blue/2.png", "none.png"], "class": ["r", "b", "r"]}
    flow = keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255).flow_from_dataframe(
        frame, folder, target_size=(32, 32), shuffle=False)
    x, y = flow[0]
    assert flow.filenames == ["red/3.png", "blue/2.png"] and y.tolist() == [[0, 1], [1, 0]]
    assert np.allclose(x, pixels[[3, 2]] / 255, atol=1e-6)


def test_image_dataset_from_directory(model, folder, pixels):
    data = keras.utils.image_dataset_from_directory(folder, image_size=(32, 32), batch_size=4,
                                                    shuffle=False)
    assert data.class_names == ["blue", "green", "red"] and len(data) == 2
    assert [p.rsplit("/", 1)[1] for p in data.file_paths] == [f"{i}.png" for i in (2, 5, 1, 4, 0, 3)]
    labels = np.concatenate([y for _, y in data])
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert np.array_equal(next(iter(data))[0][0], pixels[2])
    int8 = model.quantize(pixels)
    right = {0: 2, 1: 1, 2: 0}  # the folder's number of each class of the model
    p = int8.predict(data)
    assert [right[c] for c in p.argmax(1)] == labels.tolist()
    small = keras.utils.image_dataset_from_directory(folder, image_size=(20, 24), shuffle=True)
    assert small[0][0].shape == (6, 20, 24, 3)
    mapped = data.map(lambda x, y: (x + 1, y)).prefetch(2).take(1)
    assert len(mapped) == 1 and mapped[0][0].max() == next(iter(data))[0].max() + 1


def test_a_trained_resnet50_names_photographs():
    path = shared("models", "resnet50v1-tin200.h5")
    model = applications.ResNet50(weights=path, classes=200)
    photo = sorted(shared("data", "photos").iterdir())[0]
    x = keras.utils.img_to_array(keras.utils.load_img(photo, target_size=(224, 224)))
    x = applications.resnet50.preprocess_input(x[np.newaxis])
    p = model.predict(x)
    assert p.shape == (1, 200) and abs(p.sum() - 1) < 1e-5
    features = applications.ResNet50(weights=path, include_top=False, pooling="avg", classes=200)
    assert features.predict(x).shape == (1, 2048)
    with pytest.raises(ValueError, match="ResNet50.*ResNet101"):
        applications.ResNet101(weights=path, classes=200)


def test_the_embedded_model():
    try:
        model = applications.ResNet50(weights="tin200")
    except pronghorn.Error as error:
        pytest.skip(f"built without the embedded model: {error}")
    x = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3)).astype(np.uint8)
    p = model.predict(x)
    assert p.shape == (1, 200) and abs(p.sum() - 1) < 1e-5
    assert len(applications.resnet50.decode_predictions(p, top=3)[0]) == 3
    features = applications.ResNet50(weights="tin200", include_top=False, pooling="avg")
    assert features.predict(x).shape == (1, 2048)
