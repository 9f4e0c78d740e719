#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Features instead of classes: a network without its top, and the most alike pictures of a folder.

  features.py PHOTOGRAPHS [--weights tin200 | FILE] [--size 224] [--output features.npy]
"""

import argparse

import numpy as np

from pronghorn.keras import applications, utils


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs")
    parser.add_argument("--weights", default="tin200", help="tin200, a file, or none (random)")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--output")
    given = parser.parse_args(arguments)

    utils.set_random_seed(1)
    weights = None if given.weights == "none" else given.weights
    model = applications.ResNet50(weights=weights, include_top=False, pooling="avg",
                                  input_shape=(given.size, given.size, 3))
    data = utils.image_dataset_from_directory(
        given.photographs, labels=None, image_size=(given.size, given.size), shuffle=False)
    features = model.predict(data.map(model.preprocess_input))
    print(f"features {features.shape}")
    if given.output:
        np.save(given.output, features)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -1)
    for path, row in zip(data.file_paths, alike):
        print(f"{path} is most like {data.file_paths[row.argmax()]} ({row.max():.3f})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
