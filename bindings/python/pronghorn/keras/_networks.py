# SPDX-License-Identifier: Apache-2.0
"""ResNet50, ResNet101, ResNet152 and MobileNet as Keras builds them: layers in the order of Keras's
model.layers (which orders get_weights), and the same network as an ONNX file."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from ._onnx import Writer

NAMES = {"resnet50": "ResNet50", "resnet101": "ResNet101", "resnet152": "ResNet152",
         "mobilenet": "MobileNet"}
_BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}
_PREPROCESS = {  # mean and standard deviation in the model's channel order
    "caffe": {"mean": [103.939, 116.779, 123.68], "std": [1, 1, 1], "bgr": True},
    "tf": {"mean": [127.5] * 3, "std": [127.5] * 3, "bgr": False},
}


@dataclasses.dataclass(frozen=True)
class Layer:
    name: str
    kind: str  # Keras's class name
    inputs: tuple[str, ...]
    shape: tuple[int, ...]  # of the output of one image, (h, w, c) or (c,)
    weights: tuple[tuple[str, tuple[int, ...]], ...] = ()
    options: tuple = ()

    @property
    def parameters(self) -> int:
        return sum(int(np.prod(shape)) for _, shape in self.weights)


class Network:
    """One architecture with its top. `weights` of a network are a list in the order of `layers`."""

    def __init__(self, family, input_shape, include_top, pooling, classes, activation, alpha=1.0):
        self.family = family
        self.input_shape = input_shape
        self.layers: list[Layer] = []
        self.alpha = alpha
        self.epsilon = 1e-3 if family == "mobilenet" else 1.001e-5
        self._add("input_layer", "InputLayer", (), input_shape)
        x = self._mobilenet() if family == "mobilenet" else self._resnet()
        self.output = self._top(x, include_top, pooling, classes, activation)

    @property
    def preprocess(self) -> str:
        return "tf" if self.family == "mobilenet" else "caffe"

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self._layer(self.output).shape

    def _layer(self, name: str) -> Layer:
        return next(layer for layer in self.layers if layer.name == name)

    def _add(self, name, kind, inputs, shape, weights=(), **options) -> str:
        self.layers.append(
            Layer(name, kind, tuple(inputs), tuple(shape), tuple(weights), tuple(options.items()))
        )
        return name

    def _conv(self, x, name, filters, kernel, stride=1, same=False, bias=True, depthwise=False):
        h, w, c = self._layer(x).shape
        size = [-(-n // stride) if same else (n - kernel) // stride + 1 for n in (h, w)]
        out = c if depthwise else filters
        weights = [("kernel", (kernel, kernel, c, 1 if depthwise else filters))]
        if bias:
            weights.append(("bias", (out,)))
        kind = "DepthwiseConv2D" if depthwise else "Conv2D"
        return self._add(name, kind, [x], (*size, out), weights, stride=stride, same=same)

    def _norm(self, x, name):
        shape = self._layer(x).shape
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        return self._add(
            name, "BatchNormalization", [x], shape, [(n, (shape[-1],)) for n in names]
        )

    def _relu(self, x, name, most=0.0):
        kind = "ReLU" if most else "Activation"
        return self._add(name, kind, [x], self._layer(x).shape, relu=True, most=most)

    def _pad(self, x, name, pads):
        h, w, c = self._layer(x).shape
        top, left, bottom, right = pads
        return self._add(name, "ZeroPadding2D", [x], (h + top + bottom, w + left + right, c), pads=pads)

    def _resnet(self) -> str:
        x = self._pad("input_layer", "conv1_pad", (3, 3, 3, 3))
        x = self._norm(self._conv(x, "conv1_conv", 64, 7, 2), "conv1_bn")
        x = self._pad(self._relu(x, "conv1_relu"), "pool1_pad", (1, 1, 1, 1))
        h, w, c = self._layer(x).shape
        x = self._add("pool1_pool", "MaxPooling2D", [x], ((h - 3) // 2 + 1, (w - 3) // 2 + 1, c))
        for stage, blocks in enumerate(_BLOCKS[self.family]):
            for block in range(1, blocks + 1):
                stride = 2 if block == 1 and stage > 0 else 1
                x = self._block(x, f"conv{stage + 2}_block{block}", 64 << stage, stride, block == 1)
        return x

    def _block(self, x, name, filters, stride, shortcut) -> str:
        y = self._norm(self._conv(x, f"{name}_1_conv", filters, 1, stride), f"{name}_1_bn")
        y = self._relu(y, f"{name}_1_relu")
        y = self._norm(self._conv(y, f"{name}_2_conv", filters, 3, same=True), f"{name}_2_bn")
        y = self._relu(y, f"{name}_2_relu")
        if shortcut:  # Keras's order: both convolutions, then both norms
            x = self._conv(x, f"{name}_0_conv", 4 * filters, 1, stride)
        y = self._conv(y, f"{name}_3_conv", 4 * filters, 1)
        if shortcut:
            x = self._norm(x, f"{name}_0_bn")
        y = self._norm(y, f"{name}_3_bn")
        y = self._add(f"{name}_add", "Add", [x, y], self._layer(y).shape)
        return self._relu(y, f"{name}_out")

    def _mobilenet(self) -> str:
        x = self._conv("input_layer", "conv1", int(32 * self.alpha), 3, 2, True, bias=False)
        x = self._relu(self._norm(x, "conv1_bn"), "conv1_relu", 6.0)
        plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
        plan += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
        for i, (filters, stride) in enumerate(plan, 1):
            if stride == 2:
                x = self._pad(x, f"conv_pad_{i}", (0, 0, 1, 1))
            x = self._conv(x, f"conv_dw_{i}", 0, 3, stride, stride == 1, bias=False, depthwise=True)
            x = self._relu(self._norm(x, f"conv_dw_{i}_bn"), f"conv_dw_{i}_relu", 6.0)
            x = self._conv(x, f"conv_pw_{i}", int(filters * self.alpha), 1, same=True, bias=False)
            x = self._relu(self._norm(x, f"conv_pw_{i}_bn"), f"conv_pw_{i}_relu", 6.0)
        return x

    def _top(self, x, include_top, pooling, classes, activation) -> str:
        c = self._layer(x).shape[-1]
        if not include_top:
            if pooling == "avg":
                return self._add("avg_pool", "GlobalAveragePooling2D", [x], (c,))
            if pooling == "max":
                return self._add("max_pool", "GlobalMaxPooling2D", [x], (c,))
            return x
        if self.family == "mobilenet":
            x = self._add("global_average_pooling2d", "GlobalAveragePooling2D", [x], (1, 1, c))
            x = self._add("dropout", "Dropout", [x], (1, 1, c))
            x = self._conv(x, "conv_preds", classes, 1, same=True)
            x = self._add("reshape_2", "Reshape", [x], (classes,))
            return self._add("predictions", "Activation", [x], (classes,), softmax=activation)
        x = self._add("avg_pool", "GlobalAveragePooling2D", [x], (c,))
        weights = [("kernel", (c, classes)), ("bias", (classes,))]
        return self._add("predictions", "Dense", [x], (classes,), weights, softmax=activation)

    def specs(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """Layer, weight and shape of each array of get_weights."""
        return [(layer.name, name, shape) for layer in self.layers for name, shape in layer.weights]

    def initial_weights(self, rng: np.random.Generator) -> list[np.ndarray]:
        """As Keras begins: Glorot-uniform kernels, zero biases, unit norms."""
        result = []
        for _, name, shape in self.specs():
            if name == "kernel":
                area = int(np.prod(shape[:-2]))
                limit = np.sqrt(6.0 / (area * (shape[-2] + shape[-1])))
                result.append(rng.uniform(-limit, limit, shape).astype(np.float32))
            else:
                one = name in ("gamma", "moving_variance")
                result.append(np.full(shape, 1.0 if one else 0.0, np.float32))
        return result

    def to_onnx(self, weights: list[np.ndarray], name: str = "") -> bytes:
        """`name` of the graph; "" is that of the family."""
        h, w, _ = self.input_shape
        writer = Writer(name or self.family, h, w)
        values = {"input_layer": "input"}
        arrays = iter(weights)
        for layer in self.layers[1:]:
            mine = {name: next(arrays) for name, _ in layer.weights}
            values[layer.name] = self._emit(
                writer, layer, [values[i] for i in layer.inputs], mine
            )
        shape = self.output_shape
        metadata = {"pronghorn.preprocess": json.dumps(_PREPROCESS[self.preprocess])}
        if h == w:
            metadata["pronghorn.resize"] = f"direct:{h}"
        return writer.finish(values[self.output], (shape[-1], *shape[:-1]), metadata)

    def _emit(self, writer: Writer, layer: Layer, inputs: list[str], weights: dict) -> str:
        options = dict(layer.options)
        name = layer.name

        def constants(*keys):
            return [writer.constant(f"{name}/{k}", weights[k]) for k in keys if k in weights]

        if layer.kind in ("Conv2D", "DepthwiseConv2D"):
            depthwise = layer.kind == "DepthwiseConv2D"
            order = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
            kernel = weights["kernel"]
            weights = {**weights, "kernel": kernel.transpose(order)}
            return writer.node(
                "Conv",
                name,
                [*inputs, *constants("kernel", "bias")],
                kernel_shape=list(kernel.shape[:2]),
                strides=[options["stride"]] * 2,
                pads=self._same_pads(layer, kernel.shape[0]) if options["same"] else [0] * 4,
                group=kernel.shape[2] if depthwise else 1,
            )
        if layer.kind == "BatchNormalization":
            keys = ("gamma", "beta", "moving_mean", "moving_variance")
            return writer.node(
                "BatchNormalization", name, [*inputs, *constants(*keys)], epsilon=self.epsilon
            )
        if options.get("relu"):
            if not options["most"]:
                return writer.node("Relu", name, inputs)
            limits = [
                writer.constant(f"{name}/{end}", np.float32(value))
                for end, value in (("lo", 0), ("hi", options["most"]))
            ]
            return writer.node("Clip", name, [*inputs, *limits])
        if layer.kind == "ZeroPadding2D":
            top, left, bottom, right = options["pads"]
            pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
            return writer.node("Pad", name, [*inputs, writer.constant(f"{name}/pads", pads)])
        if layer.kind == "MaxPooling2D":
            return writer.node("MaxPool", name, inputs, kernel_shape=[3, 3], strides=[2, 2])
        if layer.kind == "Add":
            return writer.node("Add", name, inputs)
        if layer.kind == "GlobalAveragePooling2D":
            pooled = writer.node("GlobalAveragePool", f"{name}_map", inputs)
            return pooled if len(layer.shape) == 3 else writer.node("Flatten", name, [pooled])
        if layer.kind == "GlobalMaxPooling2D":
            h, w, _ = self._layer(layer.inputs[0]).shape
            pooled = writer.node("MaxPool", f"{name}_map", inputs, kernel_shape=[h, w], strides=[1, 1])
            return writer.node("Flatten", name, [pooled])
        if layer.kind == "Reshape":
            return writer.node("Flatten", name, inputs)
        if layer.kind == "Dense":
            kernel, bias = constants("kernel", "bias")
            logits = name if not options["softmax"] else f"{name}_logits"
            inputs = [writer.node("Gemm", logits, [*inputs, kernel, bias])]
        if options.get("softmax"):
            return writer.node("Softmax", name, inputs, axis=1)
        return inputs[0]  # Dropout, a linear activation

    def _same_pads(self, layer: Layer, kernel: int) -> list[int]:
        stride = dict(layer.options)["stride"]
        before, after = [], []
        for n, out in zip(self._layer(layer.inputs[0]).shape[:2], layer.shape[:2]):
            total = max((out - 1) * stride + kernel - n, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        return before + after


def depth_of(convolutions: int) -> str | None:
    """The network of this many convolutions and dense layers, if it is one of ours."""
    counts = {"mobilenet": 28}
    for name, blocks in _BLOCKS.items():
        counts[name] = 1 + 3 * sum(blocks) + 4 + 1
    for name, count in counts.items():
        if convolutions in (count, count - 1):
            return name
    return None
