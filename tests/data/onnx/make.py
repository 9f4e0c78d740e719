# SPDX-License-Identifier: Apache-2.0
"""Makes colours.onnx, a 32 x 32 float network that tells red, green, blue and gray pictures apart, and
colours28.onnx, the same for 28 x 28 pictures: what the smallest FPGA configuration averages over.

Its weights are written by hand, so that the tests know the right answers: a 3 x 3 convolution finds
differences of colour, a residual branch adds a little seeded noise, the classifier sums them up.
It names neither labels nor a preprocess; it expects "torch". Needs onnx and numpy.
"""
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(3)
first = np.zeros((8, 3, 3, 3), np.float32)
pairs = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
for channel, (plus, minus) in enumerate(pairs):
    first[channel, plus, 1, 1] = 1
    first[channel, minus, 1, 1] = -1
first[6:] = rng.normal(0, 0.2, (2, 3, 3, 3))
second = rng.normal(0, 0.02, (8, 8, 3, 3)).astype(np.float32)
head = np.zeros((4, 8), np.float32)
for colour in range(3):
    head[colour, [i for i, p in enumerate(pairs) if p[0] == colour]] = 2
    head[colour, [i for i, p in enumerate(pairs) if p[1] == colour]] = -2
bias = np.array([0, 0, 0, 2.5], np.float32)

weights = {"first": first, "first_bias": np.full(8, 0.05, np.float32), "second": second,
           "second_bias": np.zeros(8, np.float32), "head": head, "head_bias": bias}
nodes = [
    helper.make_node("Conv", ["images", "first", "first_bias"], ["a"], "conv1", strides=[2, 2],
                     pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
    helper.make_node("Relu", ["a"], ["b"], "relu1"),
    helper.make_node("Conv", ["b", "second", "second_bias"], ["c"], "conv2", pads=[1, 1, 1, 1],
                     kernel_shape=[3, 3]),
    helper.make_node("Add", ["c", "b"], ["d"], "add"),
    helper.make_node("Relu", ["d"], ["e"], "relu2"),
    helper.make_node("GlobalAveragePool", ["e"], ["f"], "pool"),
    helper.make_node("Flatten", ["f"], ["g"], "flatten"),
    helper.make_node("Gemm", ["g", "head", "head_bias"], ["logits"], "classifier", transB=1),
]
for name, size in (("colours", 32), ("colours28", 28)):
    graph = helper.make_graph(
        nodes, "colours",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, size, size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(value, key) for key, value in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model)
    onnx.save(model, pathlib.Path(__file__).with_name(f"{name}.onnx"))
