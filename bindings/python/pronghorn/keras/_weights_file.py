# SPDX-License-Identifier: Apache-2.0
"""Keras's float weights out of a legacy weights file, for get_weights (needs h5py)."""

from __future__ import annotations

import numpy as np

from .. import errors
from ._networks import Network


def read_weights(path: str, network: Network) -> list[np.ndarray]:
    try:
        import h5py
    except ImportError as error:
        raise errors.Unsupported("reading Keras's weights needs h5py: pip install h5py") from error
    if not h5py.is_hdf5(path):
        raise errors.Unsupported(f"{path or 'the model'}: Keras's weights are read from .h5 files")
    with h5py.File(path, "r") as file:
        group = file.get("model_weights", file)
        if "layer_names" not in group.attrs:
            raise errors.Unsupported(
                f"{path}: its weights have no layer names; files of save_weights in the .h5 layout of "
                "Keras 2 and keras.applications are read"
            )
        found = {}
        for layer in group:
            group[layer].visititems(
                lambda name, item, layer=layer: found.__setitem__(
                    (layer, name.split("/")[-1].split(":")[0]), np.asarray(item, np.float32)
                )
                if isinstance(item, h5py.Dataset)
                else None
            )
    result = []
    for layer, name, shape in network.specs():
        key = (layer, "depthwise_kernel" if (layer, name) not in found else name)
        if key not in found or found[key].shape != shape:
            given = found[key].shape if key in found else "nothing"
            raise errors.InvalidArgument(
                f"{path}: weight {layer}/{name} of {network.family} has shape {shape}, the file has "
                f"{given}"
            )
        result.append(found[key])
    return result
