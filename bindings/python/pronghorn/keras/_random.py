# SPDX-License-Identifier: Apache-2.0
"""The generator of random initial weights and shuffles; utils.set_random_seed starts it again."""

import numpy as np

_generator = np.random.default_rng()


def generator() -> np.random.Generator:
    return _generator


def seed(value: int) -> None:
    global _generator
    _generator = np.random.default_rng(value)
