# SPDX-License-Identifier: Apache-2.0
"""An exception of the right type that says what to do; never a crash."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import pronghorn
from pronghorn import errors
from pronghorn import keras

from conftest import COLOURS


def test_every_class_is_an_error_and_a_builtin():
    expected = {"InvalidArgument": ValueError, "WrongType": TypeError, "NotFound": FileNotFoundError,
                "Unsupported": NotImplementedError, "Corrupt": ValueError, "IoError": OSError,
                "OutOfMemory": MemoryError, "Unavailable": RuntimeError, "Cancelled": RuntimeError,
                "Internal": RuntimeError}
    for name, builtin in expected.items():
        assert issubclass(getattr(errors, name), (pronghorn.Error,))
        assert issubclass(getattr(errors, name), builtin)


@pytest.mark.parametrize("x, error, says", [
    (np.zeros((2, 31, 32, 3), np.uint8), ValueError, r"\(n, 32, 32, 3\)"),
    (np.zeros((2, 3, 32, 32), np.uint8), ValueError, r"\(2, 3, 32, 32\)"),
    (np.zeros((0, 32, 32, 3), np.uint8), ValueError, "no images"),
    (np.zeros((), np.uint8), ValueError, r"\(n, 32, 32, 3\)"),
    (np.zeros((1, 32, 32, 3), np.int64), TypeError, "int64; uint8"),
    (np.zeros((1, 32, 32, 3), np.float64), TypeError, "float32"),
    (np.zeros((1, 32, 32, 3), ">f4"), TypeError, "float32"),
    ("an image", TypeError, "NumPy array"),
    (None, TypeError, "NumPy array"),
])
def test_arrays(colours, x, error, says):
    session = pronghorn.Session(colours)
    for call in (session.run, session.submit, session.run_all):
        with pytest.raises(error, match=says) as caught:
            call(x)
        assert isinstance(caught.value, pronghorn.Error)


def test_wrong_out(colours, pixels):
    session = pronghorn.Session(colours)
    for out in (np.empty((6, 3), np.float32), np.empty((6, 4)), np.empty((4, 6), np.float32).T[:, ::2],
                "x"):
        with pytest.raises(ValueError, match="out must be"):
            session.run(pixels, out=out)


def test_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.onnx"):
        pronghorn.Model(tmp_path / "nothing.onnx")
    (tmp_path / "text.h5").write_bytes(b"these are no weights")
    with pytest.raises(NotImplementedError, match="text.h5"):
        pronghorn.Model(tmp_path / "text.h5")
    (tmp_path / "cut.onnx").write_bytes(COLOURS.read_bytes()[:2000])
    with pytest.raises(pronghorn.Error, match="cut.onnx"):
        pronghorn.Model(tmp_path / "cut.onnx")
    with pytest.raises(ValueError):
        pronghorn.Model.from_bytes(b"")
    with pytest.raises(FileNotFoundError):
        pronghorn.Source(tmp_path / "no folder")


def test_arguments(colours, pixels):
    with pytest.raises(FileNotFoundError, match="abacus"):
        pronghorn.Session(colours, device="abacus")
    with pytest.raises(ValueError, match="threads"):
        pronghorn.Session(colours, threads=-1)
    with pytest.raises(ValueError, match="sepia"):
        colours.with_preprocess("sepia")
    with pytest.raises(ValueError, match="labels"):
        colours.with_labels(["one"])
    with pytest.raises(ValueError, match="method"):
        pronghorn.quantize(colours, pixels, method="guess")
    with pytest.raises(ValueError, match="NaN"):
        pronghorn.quantize(colours, np.full((2, 32, 32, 3), np.nan, np.float32))
    with pytest.raises(ValueError, match="no images"):
        pronghorn.quantize(colours, np.zeros((0, 32, 32, 3), np.float32))
    with pytest.raises(ValueError):
        list(pronghorn.Session(colours).classify([b"x"], resize="sideways"))
    with pytest.raises(ValueError):
        pronghorn.top_k(np.zeros(3, np.float32), 4)


def test_a_progress_function_that_raises_ends_quantization(colours, pixels):
    def stop(done, total):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        pronghorn.quantize(colours, pixels, progress=stop)


def test_keras_inputs(colours, pixels):
    model = keras.Model(colours, softmax=True)
    for bad, error in [(np.full((1, 32, 32, 3), np.nan), ValueError), (pixels[0], ValueError),
                       (pixels[:0], ValueError), (np.array([["a"]]), ValueError), (object(), TypeError)]:
        with pytest.raises(error) as caught:
            model.predict(bad)
        assert isinstance(caught.value, pronghorn.Error)
    int8 = model.quantize(pixels)
    with pytest.raises(ValueError, match="pixels 0 to 255"):
        int8.predict(pixels.astype(np.float32) - 120)
    with pytest.raises(NotImplementedError, match="INT8"):
        int8.get_weights()
    with pytest.raises(NotImplementedError, match="train"):
        model.fit(pixels, np.zeros(6))
    with pytest.raises(ValueError, match="labels"):
        model.evaluate(pixels, np.full(6, 17))


def test_weights_of_another_architecture_name_both(tmp_path):
    small = keras.applications.MobileNet(weights=None, input_shape=(32, 32, 3), classes=3)
    small.save(tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="MobileNet.*ResNet50"):
        keras.applications.ResNet50(weights=tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="conv1/kernel"):
        weights = small.get_weights()
        small.set_weights([weights[0][:1], *weights[1:]])
    with pytest.raises(ValueError, match="weights for"):
        small.set_weights(weights[1:])


def test_imagenet_weights_name_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("PRONGHORN_CACHE", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="pronghorn pull resnet50-keras"):
        keras.applications.ResNet50(weights="imagenet")
    with pytest.raises(FileNotFoundError, match="pronghorn pull"):
        keras.applications.imagenet_utils.decode_predictions(np.zeros((1, 1000)))


def test_fork_after_use(colours, pixels):
    session = pronghorn.Session(colours)
    session.run(pixels)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            session.run(pixels)
        except RuntimeError as error:
            code = 0 if "fork" in str(error) else 2
        session.close()
        os._exit(code)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("the child hangs")


_INTERRUPTED = """
    import os, signal, threading, time
    import numpy as np
    import pronghorn
    from pronghorn import keras

    # What was started in the background by a shell without job control ignores the signal otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    model = keras.applications.MobileNet(weights=None, input_shape=(224, 224, 3), classes=10)
    x = np.zeros((1500, 224, 224, 3), np.uint8)
    model.predict(x[:8], verbose=0)  # how long an image takes
    sent = []
    def interrupt():
        time.sleep(1.0)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        {call}
        print("ended before")
    except KeyboardInterrupt:
        print("seconds", time.monotonic() - sent[0], flush=True)
"""


# How much too late another process comes out of waits of a fiftieth of a second, at worst: the machine's
# share of any delay that is measured beside it. Stops when its input ends.
_YARDSTICK = """
import sys, threading, time
worst, done = 0.0, threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
while not done.is_set():
    start = time.monotonic()
    time.sleep(0.02)
    worst = max(worst, time.monotonic() - start - 0.02)
print(worst)
"""


@pytest.mark.parametrize("call", [
    "model.predict(x, verbose=0)",
    "list(model.session.classify(pronghorn.Source(PICTURE).repeat(100000)))",
    "pronghorn.quantize(model.native, pronghorn.Source(PICTURE).repeat(3000))",
    "model.quantize(np.zeros((400, 224, 224, 3), np.float32))",
])
def test_ctrl_c_returns_soon(call, folder):
    picture = repr(str(next(folder.rglob("*.png"))))
    code = textwrap.dedent(_INTERRUPTED).format(call=call.replace("PICTURE", picture))
    yardstick = subprocess.Popen([sys.executable, "-c", _YARDSTICK], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    late = float(yardstick.communicate()[0])
    assert ran.stdout.startswith("seconds"), ran.stdout + ran.stderr
    # Twice: the signal has to wake one thread, and that one has to get the interpreter's lock back.
    # The sanitizers make everything about three times as slow.
    slow = 3 if os.environ.get("PRONGHORN_SANITIZED") else 1
    assert float(ran.stdout.split()[1]) < slow * 0.2 + 2 * late
