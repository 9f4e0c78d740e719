#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges the Keras importer against Keras itself.

  pip install -r tests/peers_keras/requirements.txt
  python tests/peers_keras/judge.py --library build/libpronghorn.so [--shared FOLDER] [--all]

Networks of networks.py with random weights are saved by Keras 3 and by tf_keras (Keras 2) in every
format of theirs, loaded by us, and run on raw u8 images through both. Fails when an output differs
by more than 1e-4 of the output range. --shared FOLDER adds models/resnet50v1-tin200.h5 on
photographs from data/photos. Prints one line a case and writes --json FILE. Exit status 1 when
anything fails.
"""
import argparse
import gc
import json
import os
import pathlib
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import tf_keras
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peers_onnx"))
import networks
import pronghorn_c

BAR = 1e-4
WHOLE = ("model.h5", "model.keras")
WEIGHTS = ("model.weights.h5",)
# network, formats of Keras 3, formats of Keras 2, preprocessing outside the model
CASES = [
    ("resnet50", WHOLE, WHOLE, "caffe"),
    ("resnet50_notop", WEIGHTS, WEIGHTS + ("legacy.h5",), "caffe"),
    ("mobilenet", WHOLE, WHOLE, "tf"),
    ("mobilenet_v2", WHOLE, WHOLE, "tf"),
    ("vgg", WHOLE, WHOLE, None),
    ("sequential", WHOLE, WHOLE, None),
    ("transfer", WHOLE, WHOLE, None),
    ("transfer_sequential", WHOLE, WHOLE, None),
    ("resnet50_v2", WHOLE, (), "tf"),
    ("densenet121", WHOLE, (), "torch"),
    ("inception_v3", WHOLE, (), "tf"),
    ("xception", WHOLE, (), "tf"),
]
DEEP = [
    ("resnet101", WEIGHTS, ("legacy.h5",), "caffe"),
    ("resnet152", WEIGHTS, ("legacy.h5",), "caffe"),
]


def images_for(shape, count, seed):
    """Smooth u8 images with some noise."""
    r = np.random.default_rng(seed)
    h, w, c = shape
    coarse = r.uniform(0, 255, (count, h // 8 + 1, w // 8 + 1, c))
    smooth = coarse.repeat(8, 1).repeat(8, 2)[:, :h, :w]
    return np.clip(smooth + r.normal(0, 20, smooth.shape), 0, 255).astype(np.uint8)


def preprocessed(pixels, mode):
    x = pixels.astype(np.float32)
    return keras.applications.imagenet_utils.preprocess_input(x, mode=mode) if mode else x


class Judge:
    def __init__(self, args):
        self.args = args
        self.library = pronghorn_c.Library(args.library)
        self.rows = []
        self.scales = False  # the network scales its input itself

    def compare(self, name, path, pixels, theirs, preprocess):
        row = {"case": name}
        start = time.monotonic()
        try:
            model = self.library.load(str(path))
            row["load_seconds"] = time.monotonic() - start
            known = model.info.preprocess.decode()
            if known == "none":  # the network takes floats as they are: neither side scales
                x = pixels.astype(np.float32).transpose(0, 3, 1, 2)
            else:
                x = pixels
            accepted = [preprocess] if preprocess else ["tf", "custom"] if self.scales else ["none"]
            ours = model.run(x, self.args.device, self.args.threads)
            span = float(theirs.max() - theirs.min())
            row["error"] = float(np.abs(ours - theirs).max()) / max(span, 1e-30)
            row["range"] = span
            row["same_top1"] = float((ours.argmax(1) == theirs.argmax(1)).mean())
            row["preprocess"] = known
            row["good"] = row["error"] <= BAR and known in accepted
        except pronghorn_c.Error as e:
            row.update(good=False, message=str(e))
        self.rows.append(row)
        text = "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}"
                         for k, v in row.items() if k not in ("case", "good"))
        print(f"{'ok  ' if row['good'] else 'FAIL'} {name:<48} {text}", flush=True)

    def network(self, name, by_version, preprocess, make=None, save=None):
        for k, version, formats in by_version:
            if not formats:
                continue
            k.backend.clear_session()
            model = (make or getattr(networks, name))(k)
            self.scales = any(type(layer).__name__ == "Rescaling" for layer in model.layers)
            small = self.scales or preprocess in ("tf", "torch")  # what reaches the first kernel
            networks.randomise(model, self.args.seed, 1 if small else 0.02)
            pixels = images_for(model.input_shape[1:], self.args.images, self.args.seed)
            x = preprocessed(pixels, preprocess)
            theirs = np.asarray(model(x, training=False)).reshape(len(pixels), -1)
            for file in formats:
                with tempfile.TemporaryDirectory() as folder:
                    path = pathlib.Path(folder) / file
                    if save:
                        save(model, path)
                    elif file in ("legacy.h5",) + WEIGHTS:
                        model.save_weights(str(path))
                    else:
                        model.save(str(path))
                    self.compare(f"{name} keras{version} {file}", path, pixels, theirs, preprocess)
            del model
            gc.collect()

    def shared(self, folder):
        """The trained ResNet50 through tf_keras, which loads its weights by name."""
        path = folder / "models" / "resnet50v1-tin200.h5"
        photos = sorted((folder / "data" / "photos").glob("*.[jJ]*"))[:self.args.photos]
        pixels = np.stack([np.asarray(Image.open(p).convert("RGB").resize((224, 224)))
                           for p in photos])
        model = tf_keras.applications.ResNet50(weights=None, classes=200,
                                               classifier_activation=None)
        model.load_weights(str(path), by_name=True)
        self.scales = False
        self.compare(f"resnet50v1-tin200.h5, {len(photos)} photographs", path, pixels,
                     np.asarray(model(preprocessed(pixels, "caffe"), training=False)), "caffe")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="build/libpronghorn.so")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--photos", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shared", type=pathlib.Path)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--all", action="store_true", help="ResNet101 and ResNet152 too")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    judge = Judge(args)
    for name, formats3, formats2, preprocess in CASES + (DEEP if args.all else []):
        if args.only in name:
            judge.network(name, ((keras, 3, formats3), (tf_keras, 2, formats2)), preprocess)
    if args.only in "resnet50_logits":
        judge.network("resnet50_logits", ((keras, 3, WHOLE + WEIGHTS),
                                          (tf_keras, 2, WHOLE + WEIGHTS + ("legacy.h5",))), "caffe",
                      lambda k: networks.resnet50(k, None))
    if args.only in "resnet50_older_names":
        judge.network("resnet50_older_names", ((tf_keras, 2, ("older.h5",)),), "caffe",
                      networks.older_resnet50, networks.save_older)
    if args.shared and args.only in "shared":
        judge.shared(args.shared)
    bad = sum(not row["good"] for row in judge.rows)
    print(f"{len(judge.rows)} cases, {bad} bad; keras {keras.__version__}, "
          f"tf_keras {tf_keras.__version__}, seed {args.seed}")
    if args.json:
        args.json.write_text(json.dumps(judge.rows, indent=1) + "\n", encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
