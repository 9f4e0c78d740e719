# SPDX-License-Identifier: Apache-2.0
"""The networks that the judge saves and loads, for Keras 2 (tf_keras) and Keras 3 alike."""
import numpy as np


def randomise(model, seed, first=1.0):
    """Weights that make every layer matter, batch norm statistics and biases included, and keep the
    activations small: the last batch norm of a block does not outweigh its shortcut. The first
    kernel is scaled by `first`."""
    r = np.random.default_rng(seed)
    for w in model.weights:
        name = getattr(w, "path", w.name)
        if "seed" in name or len(w.shape) == 0:
            continue
        if any(part in name for part in ("gamma", "variance")):
            scale = 0.3 if "_3_bn/gamma" in name else 1
            w.assign(r.uniform(0.6 * scale, 1.4 * scale, w.shape).astype("float32"))
        elif any(part in name for part in ("beta", "mean", "bias")):
            w.assign(r.uniform(-0.2, 0.2, w.shape).astype("float32"))
        else:
            fan_in = np.prod(w.shape[:-1]) if "depthwise" not in name else np.prod(w.shape[:2])
            w.assign(r.normal(0, first * (2 / fan_in) ** 0.5, w.shape).astype("float32"))
            first = 1.0
    return model


def resnet50(k, top="softmax"):
    return k.applications.ResNet50(weights=None, classes=100, classifier_activation=top)


def resnet50_notop(k):
    return k.applications.ResNet50(weights=None, include_top=False, pooling="avg",
                                   input_shape=(224, 224, 3))


def resnet101(k):
    return k.applications.ResNet101(weights=None, classes=10, classifier_activation=None)


def resnet152(k):
    return k.applications.ResNet152(weights=None, classes=10, classifier_activation=None)


def mobilenet(k):
    return k.applications.MobileNet(weights=None, input_shape=(160, 160, 3), classes=50, alpha=0.5)


def mobilenet_v2(k):
    return k.applications.MobileNetV2(weights=None, input_shape=(160, 160, 3), classes=50)


def resnet50_v2(k):
    return k.applications.ResNet50V2(weights=None, input_shape=(96, 96, 3), classes=50,
                                   classifier_activation=None)


def densenet121(k):
    return k.applications.DenseNet121(weights=None, input_shape=(96, 96, 3), classes=50,
                                   classifier_activation=None)


def inception_v3(k):
    return k.applications.InceptionV3(weights=None, input_shape=(107, 107, 3), classes=50,
                                   classifier_activation=None)


def xception(k):
    return k.applications.Xception(weights=None, input_shape=(101, 101, 3), classes=50,
                                   classifier_activation=None)


def vgg(k):
    """A VGG with valid and same windows, flattened into two dense layers."""
    layers = k.layers
    x = image = k.Input((64, 48, 3))
    for block, filters in enumerate((16, 32, 64)):
        for conv in range(2):
            x = layers.Conv2D(filters, 3, padding="same" if conv else "valid", activation="relu",
                              name=f"block{block}_conv{conv}")(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, activation="relu", name="fc1")(x)
    x = layers.Dropout(0.5)(x)
    return k.Model(image, layers.Dense(20, name="predictions")(x))


def sequential(k):
    layers = k.layers
    return k.Sequential([
        k.Input((32, 32, 3)), layers.Rescaling(1 / 255), layers.RandomFlip("horizontal"),
        layers.Conv2D(16, 5, strides=2, use_bias=False), layers.BatchNormalization(),
        layers.ReLU(), layers.AveragePooling2D(2), layers.Flatten(), layers.Dense(10)])


def transfer(k):
    """What tutorials make: a network without its top as a layer between scaling and a new head."""
    layers = k.layers
    body = k.applications.MobileNetV2(weights=None, include_top=False, input_shape=(96, 96, 3))
    x = image = k.Input((96, 96, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = body(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return k.Model(image, layers.Dense(5, activation="softmax")(x))


def transfer_sequential(k):
    layers = k.layers
    body = k.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 64, 3))
    return k.Sequential([body, layers.GlobalMaxPooling2D(), layers.Dense(5)])


def older_resnet50(k):
    """ResNet50 as the code of 2015 to 2019 had it: batch norm epsilon 1e-3."""
    model = resnet50(k, None)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.epsilon = 1e-3
    return model


OLDER_WEIGHTS = {"kernel": "W", "bias": "b", "gamma": "gamma", "beta": "beta",
                 "moving_mean": "running_mean", "moving_variance": "running_std"}


def older_name(name):
    """conv2_block1_1_conv -> res2a_branch2a"""
    fixed = {"conv1_conv": "conv1", "conv1_bn": "bn_conv1", "predictions": "fc1000"}
    if name in fixed:
        return fixed[name]
    stage, block, part, kind = name.split("_")
    return (("res" if kind == "conv" else "bn") + stage[-1] + chr(ord("a") + int(block[5:]) - 1) +
            "_branch" + {"0": "1", "1": "2a", "2": "2b", "3": "2c"}[part])


def save_older(model, path):
    """The layout of those files: fixed-length names, W, b, running_std."""
    import h5py
    with h5py.File(path, "w") as f:
        names = []
        for layer in model.layers:
            if not layer.weights:
                continue
            name = older_name(layer.name)
            names.append(name.encode())
            group = f.create_group(name)
            weights = [(f"{name}_{OLDER_WEIGHTS[w.name.split('/')[-1].split(':')[0]]}:0",
                        np.asarray(w)) for w in layer.weights]
            group.attrs["weight_names"] = [n.encode() for n, _ in weights]
            for n, value in weights:
                group.create_dataset(n, data=value)
        f.attrs["layer_names"] = names
