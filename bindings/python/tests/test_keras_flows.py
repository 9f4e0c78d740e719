# SPDX-License-Identifier: Apache-2.0
"""Folders and tables of images: the batches that Keras's own iterators give, to the last bit."""

import warnings

import numpy as np
import pytest
from PIL import Image

from pronghorn.keras import utils
from pronghorn.keras.preprocessing.image import ImageDataGenerator

keras = pytest.importorskip("keras", reason="Keras is not installed")
theirs = pytest.importorskip("keras.src.legacy.preprocessing.image")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Classes c, a, b with pictures of many sizes, grey and transparent ones too."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in "cab":
        (root / name / "inner").mkdir(parents=True)
        for i in range(7):
            pixels = rng.integers(0, 256, (30 + 3 * i, 50 - 2 * i, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
        grey = rng.integers(0, 256, (30, 40)).astype(np.uint8)
        Image.fromarray(grey).save(root / name / "inner" / "g.png")
        clear = rng.integers(0, 256, (30, 40, 4)).astype(np.uint8)
        Image.fromarray(clear).save(root / name / "inner" / "a.PNG")
    return str(root)


def same_batches(mine, wanted):
    assert len(mine) == len(wanted) and mine.n == wanted.n
    for _ in range(2 * len(wanted) + 1):  # past the end: the next epoch
        for a, b in zip(*(item if isinstance(item, tuple) else (item,)
                          for item in (next(mine), next(wanted))), strict=True):
            a, b = np.asarray(a), np.asarray(b)
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("settings, options", [
    ({}, {"shuffle": False}),
    ({}, {"seed": 4}),
    ({"rescale": 1 / 255}, {"shuffle": False, "class_mode": "sparse", "target_size": (40, 20),
                            "interpolation": "bilinear"}),
    ({}, {"shuffle": False, "class_mode": None, "color_mode": "grayscale"}),
    ({}, {"shuffle": False, "class_mode": "input", "color_mode": "rgba"}),
    ({}, {"shuffle": False, "class_mode": "binary", "classes": ["a", "b"]}),
    ({"validation_split": 0.3}, {"shuffle": False, "subset": "training"}),
    ({"validation_split": 0.3}, {"seed": 1, "subset": "validation"}),
    ({"preprocessing_function": lambda x: x[..., ::-1]}, {"shuffle": False, "batch_size": 5}),
    ({}, {"shuffle": False, "keep_aspect_ratio": True, "target_size": (25, 30)}),
    ({"dtype": "float64", "samplewise_center": True}, {"shuffle": False}),
])
def test_flow_from_directory(pictures, settings, options):
    mine = ImageDataGenerator(**settings).flow_from_directory(pictures, **options)
    wanted = theirs.ImageDataGenerator(**settings).flow_from_directory(pictures, **options)
    for name in ("class_indices", "filenames", "filepaths", "num_classes", "image_shape"):
        assert getattr(mine, name) == getattr(wanted, name)
    np.testing.assert_array_equal(mine.classes, wanted.classes)
    same_batches(mine, wanted)


@pytest.mark.parametrize("settings, options", [
    ({}, {"shuffle": False}),
    ({}, {"seed": 2, "batch_size": 4}),
    ({}, {"shuffle": False, "class_mode": "sparse"}),
    ({}, {"shuffle": False, "class_mode": None}),
    ({}, {"shuffle": False, "class_mode": "raw", "y_col": "weight"}),
    ({}, {"shuffle": False, "class_mode": "multi_output", "y_col": ["weight", "size"]}),
    ({}, {"shuffle": False, "weight_col": "weight"}),
    ({}, {"shuffle": False, "classes": ["c", "a"]}),
    ({}, {"shuffle": False, "y_col": "tags"}),
    ({"validation_split": 0.25}, {"shuffle": False, "subset": "validation", "weight_col": "weight"}),
])
def test_flow_from_dataframe(pictures, settings, options):
    pandas = pytest.importorskip("pandas")
    classes = [name for name in "cab" for _ in range(7)] + ["a"]
    frame = pandas.DataFrame({
        "filename": [f"{name}/{i}.png" for name in "cab" for i in range(7)] + ["a/none.png"],
        "class": classes, "tags": [["a", "b"] if i % 2 else ["c"] for i in range(22)],
        "weight": np.arange(22.0), "size": np.arange(22)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the file that is not there, by both
        mine = ImageDataGenerator(**settings).flow_from_dataframe(frame, pictures, **options)
        wanted = theirs.ImageDataGenerator(**settings).flow_from_dataframe(frame, pictures, **options)
    assert mine.filenames == wanted.filenames and mine.filepaths == wanted.filepaths
    if hasattr(wanted, "class_indices"):
        assert mine.class_indices == wanted.class_indices and list(mine.classes) == wanted.classes
    same_batches(mine, wanted)


@pytest.mark.parametrize("settings, options", [
    ({}, {"shuffle": False, "batch_size": 4}), ({}, {"seed": 1, "batch_size": 4}),
    ({"samplewise_std_normalization": True}, {"shuffle": False}),
    ({"validation_split": 0.4}, {"subset": "validation", "batch_size": 3, "shuffle": False}),
])
def test_flow(settings, options):
    x = np.random.default_rng(1).integers(0, 256, (11, 6, 5, 3))
    y = np.arange(11) % 2
    mine = ImageDataGenerator(**settings).flow(x, y, sample_weight=y + 1.5, **options)
    same_batches(mine, theirs.ImageDataGenerator(**settings).flow(x, y, sample_weight=y + 1.5, **options))


@pytest.mark.parametrize("options", [
    {}, {"label_mode": "categorical", "image_size": (33, 21)}, {"label_mode": None}, {"labels": None},
    {"class_names": ["b", "c"]}, {"labels": list(range(27)), "batch_size": None},
    {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True}, {"interpolation": "nearest"},
    {"validation_split": 0.3, "subset": "training"}, {"validation_split": 0.3, "subset": "validation"},
])
def test_image_dataset_from_directory(pictures, options):
    pytest.importorskip("tensorflow", reason="Keras reads folders with TensorFlow")
    options = {"shuffle": False, "verbose": False, "color_mode": "rgba", **options}
    if options.get("labels", "") is None:
        options["label_mode"] = None
    mine = utils.image_dataset_from_directory(pictures, **options)
    wanted = keras.utils.image_dataset_from_directory(pictures, **options)
    assert mine.class_names == wanted.class_names and mine.file_paths == wanted.file_paths
    assert len(mine) == len(wanted)
    for a, b in zip(mine, wanted):
        for found, want in zip(*(item if isinstance(item, tuple) else (item,) for item in (a, b)),
                               strict=True):
            want = np.asarray(want)
            assert np.shape(found) == want.shape and np.asarray(found).dtype == want.dtype
            np.testing.assert_allclose(np.float64(found), np.float64(want), atol=1e-3)


def test_shuffled_files_have_kerass_order(pictures):
    pytest.importorskip("tensorflow", reason="Keras reads folders with TensorFlow")
    options = {"seed": 9, "verbose": False, "validation_split": 0.3, "subset": "both"}
    mine = utils.image_dataset_from_directory(pictures, **options)
    wanted = keras.utils.image_dataset_from_directory(pictures, **options)
    assert [part.file_paths for part in mine] == [part.file_paths for part in wanted]


def test_what_is_refused(pictures):
    for options, says in (({"subset": "training"}, "validation_split"), ({"label_mode": "binary"}, "two"),
                          ({"validation_split": 0.2, "subset": "both"}, "seed"),
                          ({"class_names": ["x"]}, "folders"), ({"labels": [1]}, "1 labels for 27"),
                          ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "exclude")):
        with pytest.raises(ValueError, match=says):
            utils.image_dataset_from_directory(pictures, **options)
    with pytest.raises(NotImplementedError, match="rotation_range"):
        ImageDataGenerator(rotation_range=20)
    with pytest.raises(ValueError, match="validation_split"):
        ImageDataGenerator().flow_from_directory(pictures, subset="training")
