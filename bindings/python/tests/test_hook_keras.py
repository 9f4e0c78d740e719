# SPDX-License-Identifier: Apache-2.0
"""keras.Model under the hook, in this process: when the twin answers, when it may not, and how."""

import threading

import numpy as np
import pytest

from pronghorn import Session, errors, hook
from pronghorn.hook import twin

keras = pytest.importorskip("keras")
layers = keras.layers

from pronghorn.hook.frameworks import keras_export  # noqa: E402


@pytest.fixture(autouse=True)
def hooked(tmp_path, monkeypatch):
    monkeypatch.setenv("PRONGHORN_CACHE", str(tmp_path / "cache"))
    hook.clear_report()
    hook.install(calibration_rows=32, min_speedup=0)
    yield
    hook.uninstall()


def network(seed=1, size=12, outputs=4):
    keras.backend.clear_session()  # so that the same network has the same names
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([
        keras.Input((size, size, 3)), layers.Conv2D(8, 3, activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(outputs, activation="softmax")])
    model.layers[-1].kernel.assign(4 * np.array(model.layers[-1].kernel))
    return model


@pytest.fixture
def x():
    return np.random.default_rng(5).normal(size=(96, 12, 12, 3)).astype(np.float32)


def plain(function, *arguments, **named):
    """The original's answer."""
    with hook.HOOK.inside():
        return function(*arguments, **named)


def places(call):
    return {(row.where.split()[0], row.reason): row.rows for row in hook.report().rows
            if row.call == call}


def test_calibrates_then_switches_within_one_call(x):
    model = network()
    expected = plain(model.predict, x, verbose=0)
    found = model.predict(x, verbose=0)
    assert places("predict") == {("original", "calibrating"): 32, ("cpu", ""): 64}
    np.testing.assert_allclose(found[:32], expected[:32], atol=1e-6)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.95
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_evaluate_gives_keras_losses_and_metrics(x):
    model = network()
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    y = np.arange(len(x)) % 4
    weights = np.linspace(0, 2, len(x)).astype(np.float32)
    model.predict(x, verbose=0)
    expected = plain(model.evaluate, x, y, sample_weight=weights, verbose=0, return_dict=True)
    found = model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    assert places("evaluate") == {("cpu", ""): 96}
    assert found.keys() == expected.keys()
    assert found["loss"] == pytest.approx(expected["loss"], rel=0.02)
    assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=0.05)
    assert isinstance(model.evaluate(x, y, verbose=0), list)


def test_a_kept_twin_answers_at_once(x):
    model = network()
    first = model.predict(x, verbose=0)
    twin = network()
    hook.clear_report()
    second = twin.predict(x, verbose=0)
    assert places("predict") == {("cpu", ""): 96}
    np.testing.assert_array_equal(first[32:], second[32:])
    hook.clear_report()
    network(seed=2).predict(x, verbose=0)
    assert places("predict")[("original", "calibrating")] == 32


@pytest.mark.parametrize("change", ["set_weights", "assign", "load_weights", "compile"])
def test_changed_weights_are_noticed(change, x, tmp_path):
    model = network()
    other = network(seed=9)
    other.save_weights(tmp_path / "other.weights.h5")
    model.predict(x, verbose=0)
    hook.clear_report()
    if change == "set_weights":
        model.set_weights(other.get_weights())
    elif change == "assign":
        model.layers[-1].bias.assign(np.float32([5, 0, 0, 0]))
    elif change == "load_weights":
        model.load_weights(tmp_path / "other.weights.h5")
    else:
        model.compile(loss="mse")  # which changes no weight
    found = model.predict(x, verbose=0)
    expected = plain(model.predict, x, verbose=0)
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.95
    calibrated = ("original", "calibrating") in places("predict")
    assert calibrated == (change != "compile")


@pytest.mark.parametrize("change", ["in place", "in a graph", "one element", "not at all"])
def test_what_tensorflow_changes_behind_keras_is_noticed(change, x):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("of TensorFlow's variables")
    model = network()
    model.predict(x, verbose=0)
    hook.clear_report()
    variable = model.layers[-1].kernel.value

    @tf.function
    def step():
        variable.assign_sub(tf.ones_like(variable) * 0.25)

    if change == "in place":
        tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=1.0,
                                                delta=tf.ones_like(variable))
    elif change == "in a graph":
        step()
    elif change == "one element":
        variable.scatter_nd_update([[0, 1]], [float(variable[0, 1]) + 0.5])
    for _ in range(2):
        model.predict(x, verbose=0)
    assert (("original", "calibrating") in places("predict")) == (change != "not at all")
    hook.clear_report()
    model.predict(x, verbose=0)  # also after a scatter, which makes TensorFlow copy at each reading
    assert set(places("predict")) == {("cpu", "")}


def test_models_of_a_tensorflow_strategy_stay(x):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("of TensorFlow's strategies")
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        model = keras.Sequential([keras.Input((12, 12, 3)), layers.Conv2D(8, 3),
                                  layers.GlobalAveragePooling2D(), layers.Dense(4)])
    np.testing.assert_array_equal(model.predict(x, verbose=0), plain(model.predict, x, verbose=0))
    assert places("predict") == {("original", "a tf.distribute strategy is in use"): 96}


def test_values_that_integers_would_spoil_go_to_the_original(x):
    model = network()
    model.predict(x, verbose=0)
    hook.clear_report()
    nan, far = x[:8].copy(), x[:8].copy()
    nan[3, 0, 0, 0] = np.nan
    far[3, 0, 0, 0] = 1e6
    infinite = x[:8].copy()
    infinite[0, 0, 0, 0] = np.inf
    for bad in (nan, far, infinite):
        np.testing.assert_array_equal(model.predict_on_batch(bad), plain(model.predict_on_batch, bad))
    assert places("predict_on_batch") == {
        ("original", "NaN in the input"): 8,
        ("original", "values outside the range of the calibration rows"): 16}


def test_wrong_shapes_raise_what_keras_raises(x):
    for bad in (x[0], np.zeros((0, 12, 12, 3), np.float32)):
        with pytest.raises(Exception) as expected:
            plain(network().predict, bad, verbose=0)
        model = network()  # a new one: on JAX the first is beyond use after its error
        model.predict(x, verbose=0)
        with pytest.raises(type(expected.value)):
            model.predict(bad, verbose=0)


def test_loaded_models_are_compiled_as_ever(x, tmp_path):
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.compiled
    labels = np.arange(96) % 4
    np.testing.assert_allclose(loaded.evaluate(x[:32], labels[:32], verbose=0),
                               plain(loaded.evaluate, x[:32], labels[:32], verbose=0), atol=1e-5)


def test_random_layers_are_left_out_where_keras_leaves_them_out(x):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((12, 12, 3))
    features = layers.Conv2D(8, 3, activation="relu")(layers.RandomFlip("horizontal")(inputs))
    model = keras.Model(inputs, layers.Dense(4)(layers.Flatten()(features)))
    expected = plain(model.predict, x, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=0.05)
    assert places("predict") == {("original", "calibrating"): 32, ("cpu", ""): 64}
    if keras.backend.backend() == "torch":
        return  # PyTorch records gradients unless told otherwise: calls stay on the original
    model(x, training=False)
    assert places("__call__") == {("cpu", ""): 96}
    model(x)  # Keras flips here
    assert places("__call__") == {
        ("cpu", ""): 96, ("original", "layer random_flip is random unless training=False is given"): 96}


@pytest.mark.parametrize("preprocess", [
    keras.applications.mobilenet_v2.preprocess_input, keras.applications.densenet.preprocess_input,
    lambda p: 1.0 - p / 255, lambda p: 2 * p + 1,
    lambda p: layers.Conv2D(4, 3)(p / 255) * np.array([1, 2, 3, 4], np.float32) - 1,
], ids=["tf", "torch", "constant first", "times", "behind a layer"])
def test_arithmetic_with_constants_is_part_of_the_model(preprocess):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((12, 12, 3))
    features = layers.Conv2D(8, 3, activation="relu")(preprocess(inputs))
    model = keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(features)))
    pixels = np.random.default_rng(2).uniform(0, 255, (48, 12, 12, 3)).astype(np.float32)
    expected = plain(model.predict, pixels, verbose=0)
    graph = keras_export.import_model(keras, model, (12, 12, 3))
    rows = twin.prepared(pixels, twin.facts_of(graph, [[4]]))
    found = Session(graph).run(rows).reshape(48, 4)
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())
    model.predict(pixels, verbose=0)
    assert places("predict") == {("original", "calibrating"): 32, ("cpu", ""): 16}


def test_training_true_and_symbolic_calls_are_not_taken(x):
    model = network()
    model.predict(x, verbose=0)
    hook.clear_report()
    outer = keras.Model(model.inputs, model(model.inputs[0]))
    assert outer.output_shape == (None, 4)
    model(x[:2], training=True)
    assert not hook.report().rows


def test_calls_give_tensors_of_the_backend(x):
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch records gradients unless told otherwise: calls stay on the original")
    model = network()
    model.predict(x, verbose=0)
    expected = plain(model, x[:5])
    for given in (x[:5], keras.ops.convert_to_tensor(x[:5])):
        found = model(given, training=False)
        assert type(found) is type(expected)
        np.testing.assert_allclose(np.array(found), np.array(expected), atol=0.05)
    assert places("__call__") == {("cpu", ""): 10}


def test_agreement_below_the_threshold_is_refused_with_its_figure(x):
    hook.install(min_agreement=1.0)
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((12, 12, 3)), layers.Conv2D(4, 3), layers.Flatten(),
                              layers.Dense(5000)])  # many classes, close to each other
    rng = np.random.default_rng(3)  # and the same ones with every backend
    model.set_weights([rng.normal(0, 0.05, w.shape) for w in model.get_weights()])
    found = model.predict(x, verbose=0)
    reason = [row.reason for row in hook.report().rows if "agreement" in row.reason]
    assert len(reason) == 1 and "is below 1" in reason[0]
    np.testing.assert_allclose(found, plain(model.predict, x, verbose=0), atol=1e-6)
    hook.install(min_agreement=1.0, fallback="forbid")
    with pytest.raises(errors.Unsupported, match="top-1 agreement .* is below 1.*fallback=forbid"):
        model.predict(x, verbose=0)


@pytest.mark.parametrize("layer, reason", [
    (layers.LSTM(4), "LSTM"), (layers.Dense(1, activation="sigmoid"), "sigmoid")])
def test_unsupported_layers_are_named(layer, reason):
    model = keras.Sequential([keras.Input((6, 3)), layer] if reason == "LSTM" else
                             [keras.Input((6,)), layer])
    rows = np.ones((40, *model.input_shape[1:]), np.float32)
    model.predict(rows, verbose=0)
    (row,) = hook.report().rows
    assert row.where == "original" and reason in row.reason and row.rows == 40
    assert "supported are" not in row.reason


def test_two_inputs_and_activity_losses_stay(x):
    a, b = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([a, b], layers.Dense(3)(layers.Add()([a, b])))
    model.predict([x[:, 0, 0, :1].repeat(4, 1)] * 2, verbose=0)
    assert "2 inputs" in hook.report().rows[0].reason
    if keras.backend.backend() == "numpy":
        return  # where Keras cannot evaluate such a model itself
    model = network()
    model.layers[0].activity_regularizer = keras.regularizers.L2(0.1)
    model.compile(loss="mse")
    model.evaluate(x, np.zeros((96, 4)), verbose=0)
    assert any("adds a loss" in reason for _, reason in places("evaluate"))


def test_an_overridden_predict_step_stays(x):
    class Mine(keras.Sequential):
        def predict_step(self, *arguments, **named):
            return super().predict_step(*arguments, **named)

    model = Mine(network().layers)
    model.predict(x, verbose=0)
    assert places("predict") == {("original", "its class overrides predict_step"): 96}
    model.predict_on_batch(x[:4])
    assert places("predict_on_batch") == {("original", "its class overrides predict_step"): 4}


def test_open_sizes_take_the_first_shape(x):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([
        keras.Input((None, None, 3)), layers.Conv2D(8, 3, activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(4)])
    model.predict(x, verbose=0)
    assert places("predict")[("cpu", "")] == 64
    larger = np.zeros((2, 20, 20, 3), np.float32)
    np.testing.assert_array_equal(model.predict(larger, verbose=0),
                                  plain(model.predict, larger, verbose=0))
    assert any("calibrated with (12, 12, 3)" in reason for _, reason in places("predict"))


def test_ranks_lists_and_dictionaries_are_read_as_keras_reads_them():
    inputs = keras.Input((10, 10, 1), name="grey")
    keras.utils.set_random_seed(2)
    model = keras.Model(inputs, [layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3)(inputs)))])
    grey = np.random.default_rng(1).uniform(0, 255, (64, 10, 10)).astype(np.uint8)
    whole = grey[..., None]
    expected = plain(model.predict, whole, verbose=0)
    model.predict(whole, verbose=0)
    hook.clear_report()
    for given in (grey, whole, [whole], {"grey": whole}, whole.astype(np.float64)):
        found = model.predict(given, verbose=0)
        assert type(found) is type(expected)
        np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())
    assert places("predict") == {("cpu", ""): 5 * 64}


def test_callbacks_progress_and_early_stops(x, capsys):
    class Stop(keras.callbacks.Callback):
        batches = []

        def on_predict_batch_end(self, batch, logs=None):
            self.batches.append((batch, tuple(logs["outputs"].shape)))
            if batch == 1:
                self.model.stop_predicting = True

    model = network()
    model.predict(x, verbose=0)
    capsys.readouterr()
    plain(model.predict, x, batch_size=40, verbose=2)
    expected = capsys.readouterr().out
    model.predict(x, batch_size=40, verbose=2)
    found = capsys.readouterr().out
    assert found.split(" ")[0] == expected.split(" ")[0] and found.count("\n") == expected.count("\n")
    assert len(model.predict(x, batch_size=16, verbose=0, callbacks=[Stop()])) == 32
    assert Stop.batches == [(0, (16, 4)), (1, (16, 4))]


def test_quiet_predictions_of_arrays_skip_kerass_loop_and_keep_its_meaning(x, monkeypatch):
    from pronghorn.hook.frameworks import keras_data

    model = network()
    model.predict(x, verbose=0)
    expected = plain(model.predict, x, verbose=0)
    loops = []
    original = keras_data.Run.__init__
    monkeypatch.setattr(keras_data.Run, "__init__",
                        lambda self, *given: (loops.append(1), original(self, *given))[1])
    for given in (x, x.astype(np.float64), np.asfortranarray(x), x[::-1][::-1]):
        for size in (None, 7, 1000):
            found = model.predict(given, batch_size=size, verbose=0)
            assert found.dtype == expected.dtype and found.shape == expected.shape
            np.testing.assert_allclose(found, expected, atol=0.05)
    assert not loops
    far = x.copy()
    far[40] = 1e6  # the second of three batches is the original's
    hook.clear_report()
    np.testing.assert_array_equal(model.predict(far, verbose=0)[32:64],
                                  plain(model.predict, far, verbose=0)[32:64])
    assert places("predict")[("cpu", "")] == 64
    adapters = []
    part = keras_data._part
    monkeypatch.setattr(keras_data, "_part", lambda module, name: (
        adapters.append(1) if name == "EpochIterator" else None, part(module, name))[1])
    for options in ({"verbose": 2}, {"callbacks": [keras.callbacks.Callback()]}, {"steps": 2}):
        assert not adapters  # what is shown or called back needs the loop, not the adapters
        model.predict(x, **{"verbose": 0, **options})
    assert len(loops) == 3 and len(adapters) == 1


def test_given_calibration_data_switches_before_the_first_answer(x, tmp_path):
    np.save(tmp_path / "rows.npy", x)
    hook.install(calibration=str(tmp_path / "rows.npy"), calibration_rows=64, min_speedup=0)
    model = network(seed=21)
    model.predict(x[:1], verbose=0)
    assert places("predict") == {("cpu", ""): 1}
    assert places("calibration") == {("original", "given calibration data"): 64}
    np.save(tmp_path / "rows.npy", x[:, :5])
    hook.install(calibration=str(tmp_path / "rows.npy"), min_speedup=0)
    network(seed=22).predict(x[:1], verbose=0)
    assert any("(n,) + (12, 12, 3) is accepted" in reason for _, reason in places("predict"))


def test_many_threads(x):
    model = network(seed=31)
    model.predict_on_batch(x)  # Keras's own function for JAX is not for many threads
    expected = plain(model.predict_on_batch, x)
    wrong = []

    def work():
        for _ in range(10):
            found = model.predict_on_batch(x)
            if (found.argmax(1) != expected.argmax(1)).mean() > 0.05:
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and sum(places("predict_on_batch").values()) == 41 * 96


def test_not_fast_enough_is_a_reason(x):
    hook.install(min_speedup=1e6)
    network(seed=41).predict(x, verbose=0)
    assert any("not fast enough" in reason for _, reason in places("predict"))
    hook.install(min_speedup=1e6, fallback="forbid")
    with pytest.raises(errors.Unsupported, match="not fast enough"):
        network(seed=42).predict(x[:32], verbose=0)  # the very rows that decide it


def test_uninstalled_means_untouched(x):
    model = network()
    model.predict(x, verbose=0)
    hook.uninstall()
    hook.clear_report()
    assert keras.Model.predict.__module__.startswith("keras")
    assert "predict" not in vars(keras.Model) and "__call__" not in vars(keras.Model)
    model.predict(x, verbose=0)
    assert not hook.report().rows


def test_models_are_let_go(x):
    import gc
    import weakref

    model = network()
    model.predict(x, verbose=0)
    gone = weakref.ref(model)
    del model
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None
