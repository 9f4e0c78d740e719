#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the small Keras and HDF5 files of this folder, and what Keras computes with them.

Made with keras 3.15.1, tf_keras 2.21.0, tensorflow-cpu 2.21.0, h5py 3.14.0. All .h5 files are in
hdf5.zip, being mostly zeros. Every model X has an X.txt: a line with the numbers of one input image,
a line of the outputs.

  tests/data/keras/make.py
"""
import io
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import tf_keras

FOLDER = Path(__file__).parent


def randomise(model, seed):
    """Weights that make every layer matter, batch norm included."""
    r = np.random.default_rng(seed)
    for w in model.weights:
        name = getattr(w, "path", w.name)
        if "seed" in name or "count" in name:
            continue
        low, high = (0.5, 1.5) if "variance" in name or "gamma" in name else (-0.5, 0.5)
        w.assign(r.uniform(low, high, w.shape).astype("float32"))


def write_answer(model, name, shape, high=1.0):
    r = np.random.default_rng(7)
    x = (r.uniform(0, high, shape)).astype("float32")
    y = np.asarray(model(x[None], training=False)).reshape(-1)
    with open(FOLDER / f"{name}.txt", "w", encoding="ascii") as f:
        for values in (x.reshape(-1), y):
            f.write(" ".join(f"{v:.9g}" for v in values) + "\n")


def wide(k):
    """One of each layer."""
    layers = k.layers
    x = image = k.Input((9, 7, 3), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="conv")(x)
    a = layers.BatchNormalization(name="bn", epsilon=0.01)(x)
    b = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    b = layers.ReLU(max_value=6.0, name="relu6")(b)
    c = layers.SeparableConv2D(4, (3, 2), padding="same", use_bias=False, name="separable")(x)
    c = layers.BatchNormalization(scale=False, name="bn_no_scale")(c)
    d = layers.Conv2D(4, 1, groups=2, use_bias=False, name="grouped")(a)
    d = layers.BatchNormalization(center=False, name="bn_no_center")(d)
    d = layers.Add(name="add")([d, a, c])
    x = layers.Concatenate(name="concat")([b, d])
    x = layers.ZeroPadding2D(((0, 1), (1, 0)), name="pad")(x)
    x = layers.Activation("relu", name="relu")(x)
    y = layers.AveragePooling2D(3, strides=2, padding="same", name="average")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="max")(x)
    x = layers.Dropout(0.5, name="dropout")(layers.Add(name="sum")([x, y]))
    v = layers.GlobalAveragePooling2D(name="pool")(x)
    v = layers.Reshape((1, 1, 12), name="reshape")(v)
    v = layers.Conv2D(5, 1, name="as_dense")(v)
    v = layers.Flatten(name="vector")(v)
    w = layers.Dense(5, activation="linear", name="dense")(layers.Flatten(name="flat")(x))
    x = layers.Rescaling(0.1, offset=0.5, name="calm")(layers.Add(name="last")([v, w]))
    x = layers.Softmax(name="softmax")(x)
    return k.Model(image, x, name="wide")


def tiny(k):
    """A Sequential classifier with its preprocessing inside."""
    layers = k.layers
    return k.Sequential(
        [
            k.Input((6, 6, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 0.6, 0.7]),
            layers.Conv2D(3, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ],
        name="tiny",
    )


def nested(k):
    """A model used as a layer, as in transfer learning; and one layer called twice."""
    layers = k.layers
    x = image = k.Input((6, 6, 3))
    conv = layers.Conv2D(3, 3, padding="same", name="twice")
    x = conv(conv(x))
    x = layers.BatchNormalization(name="bn")(x)
    body = k.Model(image, x, name="body")
    image = k.Input((6, 6, 3))
    x = body(image)
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dense(2, name="head")(x)
    return k.Model(image, x, name="nested")


def write_zip(path, members):
    with zipfile.ZipFile(path, "w") as dst:
        for name, data in members:
            info = zipfile.ZipInfo(name)  # no date: the same bytes every time
            dst.writestr(info, data, zipfile.ZIP_DEFLATED, 9)


def deflate(path):
    """The same ZIP archive, its members compressed."""
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as src:
        write_zip(path, [(name, src.read(name)) for name in src.namelist()])


def write_models(folder):
    models = ((wide, (9, 7, 3), 1), (tiny, (6, 6, 3), 255), (nested, (6, 6, 3), 1))
    for k, version in ((keras, 3), (tf_keras, 2)):
        for make, shape, high in models:
            model = make(k)
            randomise(model, 3)
            name = f"{make.__name__}_keras{version}"
            model.save(folder / f"{name}.h5", include_optimizer=False)
            model.save(FOLDER / f"{name}.keras")
            deflate(FOLDER / f"{name}.keras")
            write_answer(model, name, shape, high)


def write_formats(folder):
    """What HDF5 can do and Keras does not."""
    r = np.arange(60, dtype="float32").reshape(5, 12)
    for name, libver in (("formats", "earliest"), ("formats_new", ("v108", "v108"))):
        with h5py.File(folder / f"{name}.h5", "w", libver=libver) as f:
            n = f.create_group("numbers")
            n.create_dataset("plain", data=r)
            n.create_dataset("half", data=r.astype("float16"))
            n.create_dataset("double", data=r.astype("float64"))
            n.create_dataset("int8", data=(r - 30).astype("int8"))
            n.create_dataset("uint16", data=r.astype("uint16"))
            n.create_dataset("scalar", data=np.int64(-7))
            n.create_dataset("empty", data=np.zeros((0, 3), "float32"))
            n.create_dataset("big_endian", data=r.astype(">f4"))
            g = f.create_group("inner/most")
            g.attrs["fixed"] = np.array([b"ab", b"cde", b""])
            g.attrs["variable"] = np.array(["ab", "cde", ""], dtype=h5py.string_dtype())
            g.attrs["one"] = "héllo"
            g.attrs["number"] = 3.5
            g.attrs["none"] = np.zeros(0)
            if name == "formats":
                f.create_dataset("chunks", data=r, chunks=(2, 5))
                f.create_dataset(
                    "deflated", data=r, chunks=(3, 7), compression=9, shuffle=True, fletcher32=True
                )
                f.create_dataset("lzf", data=r, chunks=(5, 12), compression="lzf")
            else:
                many = f.create_group("many")
                for i in range(12):
                    many.attrs[f"a{i}"] = i
                links = f.create_group("links")
                for i in range(12):
                    links.create_group(f"g{i}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        write_models(made)
        write_formats(made)
        write_zip(FOLDER / "hdf5.zip", [(p.name, p.read_bytes()) for p in sorted(made.iterdir())])
