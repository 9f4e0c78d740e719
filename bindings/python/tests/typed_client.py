# SPDX-License-Identifier: Apache-2.0
"""What programs write, for mypy --strict: nothing here may be untyped. Not run; test_types.py checks it."""

from typing import Any

import numpy as np

import pronghorn
from pronghorn import errors, hook, keras
from pronghorn.keras.applications import MobileNet, ResNet50, ResNet101, ResNet152
from pronghorn.keras.applications.resnet50 import decode_predictions, preprocess_input
from pronghorn.keras.preprocessing.image import ImageDataGenerator
from pronghorn.keras.utils import image_dataset_from_directory, img_to_array, load_img


def core(path: str) -> list[str]:
    model = pronghorn.Model(path).with_labels(["a", "b"])
    height: int = model.input_shape[0]
    with pronghorn.Session(model, device="cpu", threads=2) as session:
        scores: np.ndarray[Any, Any] = session.run(np.zeros((1, height, height, 3), np.uint8))
        later: np.ndarray[Any, Any] = session.submit(np.zeros((height, height, 3), np.uint8)).result()
        names = [r.top[0].label for r in session.classify(path, batch=4, strict=True)]
        names += [node["kernel"] for node in session.profile()]
        device: pronghorn.Device = session.device
    indices, chances = pronghorn.top_k(scores[0], 1)
    quantized = pronghorn.quantize(model, "photos", method="mse", progress=lambda done, total: None)
    quantized.model.save("int8.onnx")
    return [*names, device.name, str(indices[0] + chances[0] + later.sum()), str(quantized.report)]


async def waiting(session: pronghorn.Session) -> float:
    return float((await session.run_async(np.zeros((1, 224, 224, 3), np.uint8))).sum())


def like_keras(folder: str) -> list[list[tuple[str, str, float]]]:
    model: keras.Model = ResNet50(weights="tin200")
    for make in (ResNet101, ResNet152):
        make(weights=None, include_top=False, pooling="avg").summary()
    MobileNet(weights=None, alpha=0.5).set_weights(model.get_weights())
    x = preprocess_input(img_to_array(load_img("cat.jpg", target_size=(224, 224)))[np.newaxis])
    flow = ImageDataGenerator(rescale=1 / 255).flow_from_directory(folder, shuffle=False)
    model.evaluate(flow, return_dict=True)
    model.predict(image_dataset_from_directory(folder, image_size=(224, 224)), batch_size=8, verbose=0)
    model.save("m.onnx", overwrite=True)
    keras.load_model("m.onnx").quantize("photos")
    return decode_predictions(model.predict(x), top=3)


def hooked() -> str:
    try:
        policy: hook.Policy = pronghorn.install(fallback="warn", threads=1)
    except errors.InvalidArgument as error:
        return str(error)
    rows = [f"{row.object} {row.where} {row.rows}" for row in pronghorn.report().rows if row.accelerated]
    pronghorn.uninstall()
    return "\n".join([policy.fallback, *rows, pronghorn.report().to_json()])
