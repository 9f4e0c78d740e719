# SPDX-License-Identifier: Apache-2.0
"""The examples run as they are."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"


def example(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model_file(colours, tmp_path):
    path = tmp_path / "colours.onnx"
    colours.save(path)
    return str(path)


def test_resnet50_on_a_folder(model_file, folder, capsys):
    example("resnet50_on_a_folder").main([str(folder), "--model", model_file])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and "6 images" in lines[-1]
    for line in lines[:-1]:
        name, guesses = line.split(": ")
        assert guesses.startswith(name.split("/")[-2] if "/" in name else "")


def test_int8_against_float(model_file, folder, capsys):
    example("int8_against_float").main(
        [model_file, str(folder), str(folder), "--counts", "4,6", "--methods", "mse,minmax"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "float32: 6 images, accuracy 1.0000"
    assert len(lines) == 5 and all("same class 1.0000" in line for line in lines[1:])


def test_features(folder, tmp_path, capsys):
    example("features").main(
        [str(folder), "--weights", "none", "--size", "32", "--output", str(tmp_path / "f.npy")])
    assert np.load(tmp_path / "f.npy").shape == (6, 2048)
    assert capsys.readouterr().out.count("is most like") == 6


def test_digits_with_and_without_the_hook(tmp_path):
    pytest.importorskip("sklearn", minversion="1.9")
    program = str(EXAMPLES / "digits.py")
    report = tmp_path / "report.json"
    said = [subprocess.run([sys.executable, *command, program], capture_output=True, text=True,
                           cwd=tmp_path, check=True).stdout.splitlines()
            for command in ([], ["-m", "pronghorn", "--report", str(report)])]
    assert said[0][:-1] == said[1][:-1] and len(said[0]) == 4  # the last line is the time
    places = {(row["object"], row["where"]) for row in json.loads(report.read_text())["rows"]}
    for name in ("LogisticRegression", "GaussianNB", "KMeans"):
        assert any(where != "original" for what, where in places if what == name), places
