# SPDX-License-Identifier: Apache-2.0
"""Float networks as ONNX models: the structure of the published ones, seeded random weights.

Weights are scaled by their fan-in and batch-norm statistics are set so that activations keep about
one size through any depth. The opset decides the form of Clip, ReduceMean, Squeeze and others, the
way exporters of that time wrote them.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """One network: nodes are appended, shapes are followed as (c, h, w)."""

    def __init__(self, opset, seed, size=224, channels=3, batch="batch"):
        self.opset = opset
        self.rng = np.random.default_rng(seed)
        self.nodes, self.weights = [], []
        self.shape = {"image": (channels, size, size)}
        self.batch = batch
        self.count = 0

    def const(self, values, name=None):
        name = name or f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, op, inputs, shape, **attributes):
        self.count += 1
        out = f"{op.lower()}_{self.count}"
        self.nodes.append(helper.make_node(op, inputs, [out], name=f"n_{out}", **attributes))
        self.shape[out] = shape
        return out

    def conv(self, x, oc, k, stride=1, pad=None, groups=1, bias=False, gain=2.0, auto_pad=None):
        c, h, w = self.shape[x]
        kh, kw = (k, k) if isinstance(k, int) else k
        fan = c // groups * kh * kw
        weights = self.rng.normal(0, np.sqrt(gain / fan), (oc, c // groups, kh, kw))
        inputs = [x, self.const(weights.astype(np.float32))]
        if bias:
            inputs.append(self.const(self.rng.normal(0, 0.1, oc).astype(np.float32)))
        attributes = dict(kernel_shape=[kh, kw], strides=[stride, stride], group=groups)
        if auto_pad:
            attributes["auto_pad"] = auto_pad
            oh, ow = -(-h // stride), -(-w // stride)
        else:
            ph, pw = ((kh - 1) // 2, (kw - 1) // 2) if pad is None else (pad, pad)
            attributes["pads"] = [ph, pw, ph, pw]
            oh, ow = (h + 2 * ph - kh) // stride + 1, (w + 2 * pw - kw) // stride + 1
        return self.node("Conv", inputs, (oc, oh, ow), **attributes)

    def bn(self, x, scale=1.0):
        c = self.shape[x][0]
        u = self.rng.uniform
        parameters = [scale * u(0.7, 1.3, c), u(-0.2, 0.2, c), u(-0.2, 0.2, c), u(0.7, 1.3, c)]
        names = [self.const(p.astype(np.float32)) for p in parameters]
        return self.node("BatchNormalization", [x] + names, self.shape[x], epsilon=1e-5)

    def relu(self, x):
        return self.node("Relu", [x], self.shape[x])

    def clip(self, x, lo=0.0, hi=6.0):
        if self.opset < 11:
            return self.node("Clip", [x], self.shape[x], min=lo, max=hi)
        bounds = [self.const(np.float32(v)) for v in (lo, hi)]
        return self.node("Clip", [x] + bounds, self.shape[x])

    def add(self, a, b):
        return self.node("Add", [a, b], self.shape[a])

    def concat(self, parts):
        c = sum(self.shape[p][0] for p in parts)
        return self.node("Concat", parts, (c,) + self.shape[parts[0]][1:], axis=1)

    def pool(self, op, x, k, stride, pad=0, ceil=False, **attributes):
        c, h, w = self.shape[x]

        def out(size):
            room = size + 2 * pad - k
            n = (-(-room // stride) if ceil else room // stride) + 1
            return n - 1 if ceil and (n - 1) * stride >= size + pad else n

        if ceil:  # an attribute of opset 10
            attributes["ceil_mode"] = 1
        return self.node(op, [x], (c, out(h), out(w)), kernel_shape=[k, k],
                         strides=[stride, stride], pads=[pad] * 4, **attributes)

    def maxpool(self, x, k, stride, pad=0, **more):
        return self.pool("MaxPool", x, k, stride, pad, **more)

    def avgpool(self, x, k, stride, pad=0, **more):
        return self.pool("AveragePool", x, k, stride, pad, **more)

    def ints(self, values):
        return self.const(np.asarray(values, np.int64))

    def head(self, x, classes, style):
        """Mean over the pixels and a classifier, as different exporters write them."""
        c = self.shape[x][0]
        if style == "reduce":  # mean(axis=(2, 3)), Gemm
            if self.opset >= 18:
                x = self.node("ReduceMean", [x, self.ints([2, 3])], (c, 1, 1), keepdims=0)
            else:
                x = self.node("ReduceMean", [x], (c, 1, 1), axes=[2, 3], keepdims=0)
        elif style == "view":  # x.view(x.size(0), -1) of old exporters
            x = self.node("GlobalAveragePool", [x], (c, 1, 1))
            s = self.node("Shape", [x], None)
            n = self.node("Gather", [s, self.const(np.int64(0))], None, axis=0)
            if self.opset >= 13:
                n = self.node("Unsqueeze", [n, self.ints([0])], None)
            else:
                n = self.node("Unsqueeze", [n], None, axes=[0])
            target = self.node("Concat", [n, self.ints([-1])], None, axis=0)
            x = self.node("Reshape", [x, target], (c, 1, 1))
        elif style == "squeeze":
            x = self.node("GlobalAveragePool", [x], (c, 1, 1))
            if self.opset >= 13:
                x = self.node("Squeeze", [x, self.ints([2, 3])], (c, 1, 1))
            else:
                x = self.node("Squeeze", [x], (c, 1, 1), axes=[2, 3])
        else:
            x = self.node("GlobalAveragePool", [x], (c, 1, 1))
            x = self.node("Flatten", [x], (c, 1, 1), axis=1)
        return self.dense(x, c, classes, matmul=style == "squeeze")

    def dense(self, x, features, out, matmul=False, gain=1.0):
        weights = self.rng.normal(0, np.sqrt(gain / features), (out, features)).astype(np.float32)
        bias = self.const(self.rng.normal(0, 0.1, out).astype(np.float32))
        if matmul:
            y = self.node("MatMul", [x, self.const(weights.T.copy())], (out, 1, 1))
            return self.node("Add", [y, bias], (out, 1, 1))
        return self.node("Gemm", [x, self.const(weights), bias], (out, 1, 1), transB=1)

    def model(self, output, classes):
        self.nodes.append(helper.make_node("Identity", [output], ["logits"], name="n_logits"))
        c, h, w = self.shape["image"]
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [self.batch, c, h, w])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [self.batch, classes])
        ir = {7: 3, 9: 4, 11: 6, 13: 7, 17: 8}.get(self.opset, 10)
        inputs = [image]
        if ir < 4:  # initializers were inputs too
            inputs += [helper.make_tensor_value_info(w.name, w.data_type, w.dims)
                       for w in self.weights]
        graph = helper.make_graph(self.nodes, "net", inputs, [logits], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)],
                                  ir_version=ir)
        onnx.checker.check_model(model)
        return model


def resnet(opset, depth, seed, v15=True, style="flatten", size=224, classes=1000):
    b = Builder(opset, seed, size)
    x = b.maxpool(b.relu(b.bn(b.conv("image", 64, 7, 2))), 3, 2, 1)
    blocks = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3], 101: [3, 4, 23, 3]}[depth]
    for stage, repeats in enumerate(blocks):
        width = 64 << stage
        for i in range(repeats):
            stride = 2 if stage > 0 and i == 0 else 1
            out = width * 4 if depth >= 50 else width
            if depth >= 50:
                first, second = (1, stride) if v15 else (stride, 1)
                y = b.relu(b.bn(b.conv(x, width, 1, first)))
                y = b.relu(b.bn(b.conv(y, width, 3, second)))
                y = b.bn(b.conv(y, out, 1), 0.3)
            else:
                y = b.relu(b.bn(b.conv(x, width, 3, stride)))
                y = b.bn(b.conv(y, out, 3), 0.3)
            if stride != 1 or b.shape[x][0] != out:
                x = b.bn(b.conv(x, out, 1, stride, gain=1.0))
            x = b.relu(b.add(y, x))
    return b.model(b.head(x, classes, style), classes)


def vgg(opset, seed, plan, width=1.0, size=224, classes=1000):
    b = Builder(opset, seed, size)
    x = "image"
    for step in plan:
        x = b.maxpool(x, 2, 2) if step == "M" else b.relu(
            b.conv(x, int(step * width), 3, bias=True))
    c, h, w = b.shape[x]
    features = c * h * w
    x = b.node("Flatten", [x], (features, 1, 1), axis=1)
    hidden = int(4096 * width)
    for out in (hidden, hidden):
        x = b.relu(b.dense(x, features, out, gain=2.0))
        x = b.node("Dropout", [x], b.shape[x])
        features = out
    return b.model(b.dense(x, features, classes), classes)


VGG11 = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]
VGG16 = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]


def mobilenet_v1(opset, seed, style="reduce", size=224, classes=1000):
    b = Builder(opset, seed, size)
    # TensorFlow's SAME padding of stride 2: more at the end than at the start.
    x = b.clip(b.bn(b.conv("image", 32, 3, 2, auto_pad="SAME_UPPER")))
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [
        (1024, 2), (1024, 1)]
    for out, stride in plan:
        c = b.shape[x][0]
        x = b.clip(b.bn(b.conv(x, c, 3, stride, groups=c, auto_pad="SAME_UPPER")))
        x = b.clip(b.bn(b.conv(x, out, 1)))
    return b.model(b.head(x, classes, style), classes)


def mobilenet_v2(opset, seed, style="view", size=224, classes=1000):
    b = Builder(opset, seed, size)
    x = b.clip(b.bn(b.conv("image", 32, 3, 2)))
    for t, out, repeats, first in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
                                   (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(repeats):
            stride, c, y = (first if i == 0 else 1), b.shape[x][0], x
            if t != 1:
                y = b.clip(b.bn(b.conv(y, c * t, 1)))
            y = b.clip(b.bn(b.conv(y, c * t, 3, stride, groups=c * t)))
            y = b.bn(b.conv(y, out, 1), 0.5)
            x = b.add(x, y) if stride == 1 and c == out else y
    x = b.clip(b.bn(b.conv(x, 1280, 1)))
    return b.model(b.head(x, classes, style), classes)


def inception(opset, seed, size=224, classes=1000):
    """Branches of 1x1, 1x7 and 7x1, 3x3 and pooled ones, joined along channels."""
    b = Builder(opset, seed, size)

    def unit(x, oc, k, stride=1, pad=None):
        return b.relu(b.bn(b.conv(x, oc, k, stride, pad)))

    x = b.maxpool(unit(unit("image", 32, 3, 2, 0), 64, 3), 3, 2, ceil=opset >= 10)
    for pooled in range(3):
        branches = [unit(x, 48, 1), unit(unit(x, 32, 1), 64, 5), unit(unit(x, 32, 1), 48, (1, 7)),
                    unit(unit(x, 24, (7, 1)), 32, 3)]
        # padding counted, not counted, and rounding up on top of it
        count = 1 if pooled != 1 else 0
        branches.append(unit(b.avgpool(x, 3, 1, 1, count_include_pad=count), 32, 1))
        x = b.concat(branches)
        if pooled == 0:
            x = b.concat([unit(x, 96, 3, 2, 0), b.maxpool(x, 3, 2)])
        elif pooled == 1:
            x = b.concat([unit(x, 128, 3, 2), b.avgpool(x, 3, 2, 1, count_include_pad=1)])
    if opset >= 10:
        x = b.avgpool(x, 2, 2, 0, ceil=True)
    return b.model(b.head(x, classes, "flatten"), classes)


def scaled_input(opset, seed, size=96, classes=10):
    """Preprocessing inside the graph: x / 255, minus means, times factors, padded by a Pad."""
    b = Builder(opset, seed, size)
    x = b.node("Div", ["image", b.const(np.float32(2.0))], b.shape["image"])
    mean = b.const(np.array([0.1, -0.2, 0.3], np.float32).reshape(1, 3, 1, 1))
    x = b.node("Sub", [x, mean], b.shape[x])
    factor = b.const(np.array([1.1, 0.9, 1.2], np.float32).reshape(3, 1, 1))
    x = b.node("Mul", [x, factor], b.shape[x])
    c, h, w = b.shape[x]
    pads = [0, 0, 1, 2, 0, 0, 3, 0]
    if opset >= 11:
        x = b.node("Pad", [x, b.ints(pads)], (c, h + 4, w + 2))
    else:
        x = b.node("Pad", [x], (c, h + 4, w + 2), pads=pads)
    x = b.relu(b.bn(b.conv(x, 16, 3, 2, 0)))
    x = b.relu(b.conv(x, 32, 3, 2, groups=4, bias=True))
    return b.model(b.head(x, classes, "squeeze"), classes)


def newest_opset():
    """The newest that the pinned onnxruntime is released for, not merely one that onnx defines."""
    return min(onnx.defs.onnx_opset_version(), 23)


def networks():
    """name -> function that makes the model; sizes and widths chosen so that all take minutes."""
    new = newest_opset()
    return {
        "resnet18-opset7": lambda: resnet(7, 18, 1),
        "resnet18-opset13": lambda: resnet(13, 18, 20),
        "resnet34-opset9": lambda: resnet(9, 34, 2, style="view"),
        "resnet50v1-opset9": lambda: resnet(9, 50, 3, v15=False),
        "resnet50v15-opset11": lambda: resnet(11, 50, 4, style="view"),
        "resnet50v15-opset13": lambda: resnet(13, 50, 5),
        "resnet101v1-opset17": lambda: resnet(17, 101, 6, v15=False, size=160),
        f"resnet101v15-opset{new}": lambda: resnet(new, 101, 7, size=160, style="reduce"),
        "vgg11-opset7": lambda: vgg(7, 8, VGG11, width=0.5),
        "vgg16-opset13": lambda: vgg(13, 9, VGG16, width=0.25),
        "mobilenetv1-opset9": lambda: mobilenet_v1(9, 10),
        "mobilenetv1-opset17": lambda: mobilenet_v1(17, 11, style="squeeze"),
        "mobilenetv2-opset7": lambda: mobilenet_v2(7, 12),
        "mobilenetv2-opset13": lambda: mobilenet_v2(13, 13),
        f"mobilenetv2-opset{new}": lambda: mobilenet_v2(new, 14, style="reduce"),
        "inception-opset9": lambda: inception(9, 15),
        "inception-opset11": lambda: inception(11, 16, size=149),
        "inception-opset17": lambda: inception(17, 21, size=160),
        f"inception-opset{new}": lambda: inception(new, 17, size=150),
        "scaled_input-opset9": lambda: scaled_input(9, 18),
        f"scaled_input-opset{new}": lambda: scaled_input(new, 19),
    }
