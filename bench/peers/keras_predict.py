#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keras's predict and Pronghorn's, on the same ResNet50, photographs and CPU, turn by turn.

  bench/peers/keras_predict.py WEIGHTS.h5 PHOTOGRAPHS --json bench/results/keras_predict.json

WEIGHTS are those of keras.applications' ResNet50 (any number of classes). PHOTOGRAPHS is a folder or
a .tar. Needs keras with a backend, and pronghorn. "keras under the hook" is the same call of
keras.Model.predict with pronghorn.install() before it. --without-keras times only Pronghorn, for
numbers of images that Keras would take minutes for. The INT8 model is quantized here, on the photographs
that are not timed. Before anything is timed, the top-1 labels of both are compared.

Rates are of calls of predict, with everything that they do. Within a round everything runs once, in
the one order and then in the other; rates are of the median of the rounds, and every "times" and "of"
is the median of the rounds' own quotients, so that a machine that slows down for a while slows both.

PRONGHORN_ISA=avx2 ONEDNN_MAX_CPU_ISA=AVX2 makes of both what they are on a processor with AVX2 alone.
"""

import argparse
import ctypes
import json
import os
import platform
import statistics
import subprocess
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import pronghorn
from pronghorn import hook
from pronghorn.keras import Model, applications


def photographs(folder: str, most: int) -> np.ndarray:
    source = pronghorn.Source(folder)
    count = min(most, len(source))
    return np.stack([source.pixels(i, "direct:224") for i in range(count)])


def seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def turns(calls: dict, rounds: int, warm: bool = True) -> dict:
    """Each call once to warm up, then all of them in turn, there and back again."""
    for call in calls.values() if warm else ():
        call()
    times: dict = {name: [] for name in calls}
    order = list(calls)
    for _ in range(rounds):
        for name in order:
            times[name].append(seconds(calls[name]))
        order.reverse()
    return times


def quotient(slow: list, fast: list) -> float:
    """How many times as fast: the median of the rounds' quotients."""
    return statistics.median(a / b for a, b in zip(slow, fast))


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("device", ctypes.c_char_p), ("threads", ctypes.c_int32)]


class Native:
    """The C ABI of the library that the package has loaded, without the package."""

    def __init__(self, model: pronghorn.Model, threads: int = 0):
        with open("/proc/self/maps", encoding="utf-8") as maps:
            path = next(line.split()[-1] for line in maps if "libpronghorn" in line)
        self._library = ctypes.CDLL(path)
        data = model.to_bytes()
        handle, self._session = ctypes.c_void_p(), ctypes.c_void_p()
        options = Options(ctypes.sizeof(Options), b"cpu", threads)
        assert self._library.ph_model_from_bytes(
            data, ctypes.c_size_t(len(data)), b"model", ctypes.byref(handle)) == 0
        assert self._library.ph_session_create(
            handle, ctypes.byref(options), ctypes.byref(self._session)) == 0

    def call(self, pixels: np.ndarray, out: np.ndarray):
        """A function of no arguments that runs these pixels."""
        run = self._library.ph_session_run
        arguments = (self._session, pixels.ctypes.data_as(ctypes.c_void_p),
                     ctypes.c_int64(len(pixels)), out.ctypes.data_as(ctypes.c_void_p))
        return lambda: run(*arguments)


def overhead() -> dict:
    """What Session.run of one image adds to ph_session_run: medians on a model that takes
    microseconds. The foreign call of the comparison costs a microsecond of its own."""
    path = os.path.join(os.path.dirname(__file__), "../../tests/data/onnx/colours.onnx")
    model = pronghorn.Model(path)
    session = pronghorn.Session(model, threads=1)
    x = np.zeros((1, 32, 32, 3), np.uint8)
    native = Native(model, 1).call(x, np.zeros((1, 4), np.float32))
    samples: dict = {"binding": [], "native": []}
    for _ in range(3000):
        samples["binding"].append(seconds(lambda: session.run(x)))
        samples["native"].append(seconds(native))
    medians = {name: statistics.median(values) * 1e6 for name, values in samples.items()}
    return {"run_us": medians["binding"], "native_us": medians["native"],
            "overhead_us": medians["binding"] - medians["native"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights")
    parser.add_argument("photographs")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calibration", type=int, default=64)
    parser.add_argument("--without-keras", action="store_true")
    parser.add_argument("--json")
    arguments = parser.parse_args()

    native = pronghorn.Model(arguments.weights)
    pixels = photographs(arguments.photographs, arguments.images + arguments.calibration)
    timed, calibration = pixels[: arguments.images], pixels[arguments.images :]
    if len(calibration) == 0:
        raise SystemExit("more photographs are needed: --images leaves none to calibrate on")
    ours = Model(pronghorn.quantize(native, calibration, report=False).model, softmax=True)
    if arguments.without_keras:
        report = compare_with_c_abi(ours, timed, arguments.rounds)
    else:
        report = compare_with_keras(arguments, native, ours, timed)
    text = json.dumps({**machine(), "images": len(timed), "rounds": arguments.rounds, **report},
                      indent=2)
    print(text)
    if arguments.json:
        os.makedirs(os.path.dirname(arguments.json) or ".", exist_ok=True)
        with open(arguments.json, "w", encoding="utf-8") as file:
            file.write(text + "\n")


def machine() -> dict:
    commit = subprocess.run(["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse",
                             "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    device = pronghorn.devices()[0]
    return {
        "schema": "pronghorn-keras-predict-3",
        "what": "calls of predict on ResNet50, 224 x 224, images in memory, one process",
        "commit": commit, "python": platform.python_version(), "device": device.description,
        "isa": device.isa, "onednn_max_cpu_isa": os.environ.get("ONEDNN_MAX_CPU_ISA"), "cores": pronghorn.available_cores(), "load_average": os.getloadavg()[0],
    }


def compare_with_c_abi(ours: Model, timed: np.ndarray, rounds: int) -> dict:
    out = np.empty((len(timed), ours.native.classes), np.float32)
    native = Native(ours.native)
    few, all_of_them = native.call(timed[:64], out), native.call(timed, out)
    few()
    if not np.array_equal(out[:64], ours.session.run(timed[:64])):
        raise SystemExit("the package and the C ABI give different scores, nothing is timed")
    batch = turns({"pronghorn int8": lambda: ours.predict(timed), "C ABI int8": all_of_them}, rounds,
                  warm=False)
    rate = {name: len(timed) / statistics.median(values) for name, values in batch.items()}
    return {"images_per_second": rate, "seconds_of_every_round": batch,
            "predict_of_c_abi": quotient(batch["C ABI int8"], batch["pronghorn int8"]),
            "call_overhead": overhead()}


def compare_with_keras(arguments, native: pronghorn.Model, ours: Model, timed: np.ndarray) -> dict:
    import keras

    theirs = keras.applications.ResNet50(weights=None, classes=native.classes)
    theirs.load_weights(arguments.weights)
    single = Model(native, softmax=True)
    floats = applications.resnet50.preprocess_input(timed)

    want = theirs.predict(floats, verbose=0).argmax(1)
    agreement = {"int8": float((ours.predict(timed).argmax(1) == want).mean()),
                 "float32": float((single.predict(floats).argmax(1) == want).mean())}
    if agreement["float32"] < 0.99 or agreement["int8"] < 0.9:
        raise SystemExit(f"the models disagree with Keras, nothing is timed: {agreement}")

    out = np.empty((len(timed), native.classes), np.float32)
    hook.install(keep=False, min_speedup=0, calibration_rows=min(64, len(timed)))

    def original(x):
        with hook.HOOK.inside():
            return theirs.predict(x, batch_size=32, verbose=0)

    theirs.predict(floats, batch_size=32, verbose=0)  # answered by Keras, and calibrates
    agreement["hook"] = float((theirs.predict(floats, verbose=0).argmax(1) == want).mean())
    if agreement["hook"] < 0.9:
        raise SystemExit(f"the hook disagrees with Keras, nothing is timed: {agreement}")
    batch = turns({
        "keras": lambda: original(floats),
        "keras under the hook": lambda: theirs.predict(floats, batch_size=32, verbose=0),
        "pronghorn float32": lambda: single.predict(floats),
        "pronghorn int8": lambda: ours.predict(timed),
        "C ABI int8": Native(ours.native).call(timed, out),
    }, arguments.rounds)
    one = turns({
        "keras": lambda: original(floats[:1]),
        "keras under the hook": lambda: theirs.predict(floats[:1], verbose=0),
        "pronghorn int8": lambda: ours.predict(timed[:1]),
        "C ABI int8": Native(ours.native).call(timed[:1], out[:1]),
    }, 10 * arguments.rounds)
    rate = {name: len(timed) / statistics.median(values) for name, values in batch.items()}
    latency = {name: statistics.median(values) for name, values in one.items()}
    if not any(row.call == "predict" and row.accelerated for row in hook.report().rows):
        raise SystemExit(f"the hook accelerated nothing: {hook.report()}")
    return {
        "keras": keras.__version__, "backend": keras.backend.backend(),
        "top1_agreement_with_keras": agreement,
        "images_per_second": rate, "seconds_of_every_round": batch,
        "predict_of_c_abi": quotient(batch["C ABI int8"], batch["pronghorn int8"]),
        "times_keras": {name: quotient(batch["keras"], values) for name, values in batch.items()
                        if name not in ("keras", "C ABI int8")},
        "one_image_seconds": latency,
        "one_image_times_keras": {name: quotient(one["keras"], values) for name, values in one.items()
                                  if name not in ("keras", "C ABI int8")},
        "one_image_predict_less_c_abi_us":
            1e6 * statistics.median(a - b for a, b in zip(one["pronghorn int8"], one["C ABI int8"])),
        "call_overhead": overhead(),
    }


if __name__ == "__main__":
    main()
