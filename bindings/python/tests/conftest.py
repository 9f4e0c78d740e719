# SPDX-License-Identifier: Apache-2.0
"""What the tests share: a small model, pictures in folders, the trained models where there are some."""

import importlib.util
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

import pronghorn

# Keras asks for TensorFlow unless told what else there is.
os.environ.setdefault("KERAS_BACKEND", next(
    (name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)), "numpy"))

ROOT = pathlib.Path(__file__).resolve().parents[3]
COLOURS = ROOT / "tests" / "data" / "onnx" / "colours.onnx"


@pytest.fixture(scope="session")
def colours() -> pronghorn.Model:
    """32 x 32 pixels to red, green, blue, gray; float32 with torch's preprocess."""
    return pronghorn.Model(COLOURS).with_labels(["red", "green", "blue", "gray"])


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """Six noisy images of 32 x 32: red, green, blue, red, green, blue."""
    rng = np.random.default_rng(1)
    x = rng.integers(40, 80, (6, 32, 32, 3)).astype(np.uint8)
    for i in range(6):
        x[i, :, :, i % 3] += 130
    return x


@pytest.fixture(scope="session")
def folder(tmp_path_factory, pixels) -> pathlib.Path:
    """The six images as PNG files in folders blue, green, red, and one broken file."""
    root = tmp_path_factory.mktemp("images")
    for i, image in enumerate(pixels):
        place = root / ["red", "green", "blue"][i % 3]
        place.mkdir(exist_ok=True)
        Image.fromarray(image).save(place / f"{i}.png")
    return root


def shared(*parts: str) -> pathlib.Path:
    """A trained model or photograph; skips when this machine has none."""
    path = pathlib.Path(os.environ.get("PRONGHORN_SHARED", ROOT.parent / "shared")).joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path}: not on this machine (set PRONGHORN_SHARED)")
    return path
