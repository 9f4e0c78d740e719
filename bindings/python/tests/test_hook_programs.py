# SPDX-License-Identifier: Apache-2.0
"""Programs as people write them, run as they are and run under the hook: the same classes."""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from conftest import shared

pytest.importorskip("keras")
PROGRAMS = pathlib.Path(__file__).parent / "programs"
BACKENDS = [name for name in ("jax", "tensorflow") if importlib.util.find_spec(name)]
# PyTorch starts slowly: only the programs that show what differs from backend to backend.
ON_TORCH = ["convnet", "multiple_outputs", "py_dataset", "callbacks", "subclassed"]

# What the report has to say: calls that the INT8 twin answered, and reasons why it did not.
EXPECTED = {
    "convnet": (["evaluate", "predict"], []),
    "functional_residual": (["predict_on_batch"], []),
    "transfer_learning": (["predict"], []),
    "multiple_outputs": (["predict"], []),
    "py_dataset": (["predict", "evaluate"], []),
    "callbacks": (["predict", "evaluate"], []),
    "train_between": (["predict"], []),
    "save_and_serve": (["__call__"], []),
    "feature_extraction": (["predict"], []),
    "generator": (["predict"], []),
    "subclassed": ([], ["a subclassed model", "layer square (Square)"]),
    "workers": (["predict"], []),
}


# Both runs of a program are to train the same network, to the last bit.
DETERMINISTIC = {
    "TF_CPP_MIN_LOG_LEVEL": "3", "TF_DETERMINISTIC_OPS": "1", "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def start(backend, *command, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PRONGHORN")}
    return subprocess.Popen(
        [sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**kept, **DETERMINISTIC, "KERAS_BACKEND": backend, **environment})


def labels(process):
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return [line for line in out.splitlines() if line.startswith("labels")]


def run_both(backend, program, tmp_path, *arguments, how="command"):
    """(labels without the hook, labels with it, the hook's report)."""
    path = tmp_path / "report.json"
    # Small networks win little, and on a busy machine nothing: what counts here is the answers.
    options = {"PRONGHORN_MIN_SPEEDUP": "0", "PRONGHORN_KEEP": "0"}
    plain = start(backend, PROGRAMS / program, *arguments)
    if how == "command":
        hooked = start(backend, "-m", "pronghorn", "--report", path, PROGRAMS / program, *arguments,
                       **options)
    else:
        hooked = start(backend, PROGRAMS / program, *arguments, PRONGHORN="1",
                       PRONGHORN_REPORT_FILE=str(path), **options)
    before, after = labels(plain), labels(hooked)
    return before, after, json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name, backend", [
    *((name, backend) for name in EXPECTED for backend in BACKENDS), *((n, "torch") for n in ON_TORCH)])
def test_same_classes(name, backend, tmp_path):
    if backend == "torch":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    if name == "workers":
        pytest.importorskip("joblib")
    accelerated, reasons = EXPECTED[name]
    before, after, report = run_both(backend, f"{name}.py", tmp_path)
    assert before == after and len(before) >= 1
    rows = report["rows"]
    assert {r["call"] for r in rows if r["where"] != "original" and r["rows"] > 0} >= set(accelerated)
    for reason in reasons:
        assert any(reason in r["reason"] for r in rows if r["where"] == "original"), rows
    if not accelerated:
        assert all(r["where"] == "original" for r in rows)
    if name == "workers":
        assert report["processes"] >= 4  # two of joblib's and at least one of the pool's
    if name == "train_between":
        assert any("weights changed" in note["text"] for note in report["notes"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_tf_data(backend, tmp_path):
    pytest.importorskip("tensorflow")
    before, after, report = run_both(backend, "tf_data.py", tmp_path)
    assert before == after
    assert {r["call"] for r in report["rows"] if r["where"] != "original"} == {"predict", "evaluate"}


def test_the_environment_is_enough_and_forks_inherit(tmp_path):
    if "jax" not in BACKENDS:
        pytest.skip("needs jax: TensorFlow does not survive a fork")
    pytest.importorskip("joblib")
    before, after, report = run_both("jax", "workers.py", tmp_path, how="environment")
    assert before == after
    done = start("jax", "-m", "pronghorn", "--no-keep", "--min-speedup", "0", "--report",
                 tmp_path / "fork.json", PROGRAMS / "workers.py", "--fork")
    assert labels(done)[:3] == before  # the fourth line is of the forks, which only have the twin
    forked = json.loads((tmp_path / "fork.json").read_text(encoding="utf-8"))
    assert forked["processes"] > report["processes"]


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_forbid_stops_what_cannot_be_accelerated(backend):
    process = start(backend, "-m", "pronghorn", "--fallback", "forbid", PROGRAMS / "subclassed.py")
    _, err = process.communicate(timeout=600)
    assert process.returncode != 0
    assert "classifier predict stays on the original: a subclassed model" in err
    process = start(backend, "-m", "pronghorn", "--fallback", "warn", PROGRAMS / "subclassed.py")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0 and err.count("FallbackWarning: pronghorn: keras classifier") == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_resnet50_example(backend, tmp_path):
    """keras.applications' classification example, calibrated on photographs, then kept."""
    weights = shared("models", "resnet50v1-tin200.h5")
    photos = sorted(shared("data", "photos").iterdir())
    folder = tmp_path / "calibration"
    folder.mkdir()
    for photo in photos[1:49]:
        shutil.copy(photo, folder)
    shutil.copy(photos[0], tmp_path / "elephant.jpg")

    def answer(*prefix, **environment):
        process = subprocess.run(
            [sys.executable, *prefix, PROGRAMS / "with_shared_weights.py", weights,
             PROGRAMS / "resnet50_example.py"], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3",
                 "PRONGHORN_CACHE": str(tmp_path / "cache"), **environment}, timeout=900)
        assert process.returncode == 0, process.stderr
        return re.search(r"Predicted: \[\('(\w+)'", process.stdout).group(1), process.stderr

    expected, _ = answer()
    options = ("-m", "pronghorn", "-v", "--fallback", "forbid", "--calibration", folder,
               "--calibration-rows", "48", "--min-speedup", "0")
    found, text = answer(*options)
    assert found == expected
    assert re.search(r"predict +cpu \w+ INT8 +1 calls +1 rows", text) and "top-1 agreement" in text
    again, text = answer(*options)
    assert again == expected and "kept from an earlier run" in text and "calibration" not in text
