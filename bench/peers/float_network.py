# SPDX-License-Identifier: Apache-2.0
"""The float network inside a quantized ONNX file (QDQ): the same layers with the dequantized weights.

Engines without INT8 for such files (PyTorch, TensorFlow) run this, and so do the float32 and bf16 rows
of the others: one network in several precisions. Its weights are those of the INT8 model, so its
accuracy is measured, not assumed.
"""
import numpy as np
import onnx
from onnx import helper, numpy_helper


def strip(path):
    """An onnx.ModelProto without quantization; the u8 input and its means stay as they are."""
    model = onnx.load(path)
    graph = model.graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    inputs = {i.name for i in graph.input}
    same, kept, made = {}, [], {}
    for node in graph.node:
        names = [same.get(name, name) for name in node.input]
        if node.op_type == "QuantizeLinear":
            same[node.output[0]] = names[0]
        elif node.op_type == "DequantizeLinear" and node.input[0] in constants:
            values = constants[node.input[0]].astype(np.float32)
            scale, zero = constants[node.input[1]], constants[node.input[2]].astype(np.float32)
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            shape = [1] * values.ndim
            if scale.ndim:
                shape[axis] = -1
            made[node.output[0]] = (values - zero.reshape(shape)) * scale.reshape(shape)
        elif node.op_type == "DequantizeLinear" and node.input[0] not in inputs:
            same[node.output[0]] = names[0]
        else:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            del copy.input[:]
            copy.input.extend(names)
            kept.append(copy)
    used = {name for node in kept for name in node.input}
    initializers = [numpy_helper.from_array(np.ascontiguousarray(v), n)
                    for n, v in {**constants, **made}.items() if n in used]
    return helper.make_model(helper.make_graph(kept, graph.name, graph.input, graph.output,
                                               initializers), opset_imports=model.opset_import)


def steps(model):
    """(op, inputs, output, attributes) of each node, and the constants."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    nodes = [(n.op_type, list(n.input), n.output[0],
              {a.name: helper.get_attribute_value(a) for a in n.attribute})
             for n in model.graph.node]
    return nodes, constants, model.graph.input[0].name, model.graph.output[0].name


def unsupported(op):
    raise ValueError(f"this network has the op {op}, which the float runner does not know")


def torch_module(model):
    """A torch.nn.Module of `model`, from u8 NHWC pixels to scores; channels last."""
    import torch
    import torch.nn.functional as F
    nodes, constants, source, result = steps(model)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.place = {}
            for i, (name, value) in enumerate(constants.items()):
                tensor = torch.tensor(np.array(value))
                if tensor.ndim == 4:
                    tensor = tensor.to(memory_format=torch.channels_last)
                self.register_buffer(f"c{i}", tensor)
                self.place[name] = f"c{i}"

        def forward(self, pixels):
            values = {source: pixels}

            def get(name):
                return values[name] if name in values else getattr(self, self.place[name])
            for op, names, output, given in nodes:
                x = get(names[0])
                if op == "DequantizeLinear":
                    weight = next(t for t in self.buffers() if t.ndim == 4)
                    y = ((x.to(weight.dtype) - get(names[2]).to(weight.dtype)) *
                         get(names[1]).to(weight.dtype))
                elif op == "Transpose":
                    y = x.permute(given["perm"])
                elif op == "Conv":
                    pads = given.get("pads", [0, 0, 0, 0])
                    if pads[:2] != pads[2:]:
                        x, pads = F.pad(x, (pads[1], pads[3], pads[0], pads[2])), [0, 0]
                    bias = get(names[2]) if len(names) > 2 else None
                    y = F.conv2d(x, get(names[1]), bias, given.get("strides", 1), pads[:2],
                                 given.get("dilations", 1), given.get("group", 1))
                elif op == "Relu":
                    y = F.relu(x)
                elif op == "MaxPool":
                    y = F.max_pool2d(x, given["kernel_shape"], given["strides"],
                                     given.get("pads", [0, 0])[:2])
                elif op == "Add":
                    y = x + get(names[1])
                elif op == "GlobalAveragePool":
                    y = x.mean((2, 3), keepdim=True)
                elif op == "Flatten":
                    y = x.flatten(given.get("axis", 1))
                elif op == "Gemm":
                    weight = get(names[1])
                    y = F.linear(x, weight if given.get("transB") else weight.t(), get(names[2]))
                else:
                    unsupported(op)
                values[output] = y
            return values[result].float()
    return Network().eval()


def tensorflow_function(model, threads):
    """The same as a compiled tf.function; NHWC throughout."""
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    nodes, constants, source, result = steps(model)

    @tf.function
    def run(pixels):
        values = {source: pixels}

        def get(name):
            return values[name] if name in values else tf.constant(constants[name])
        for op, names, output, given in nodes:
            x = get(names[0])
            if op == "DequantizeLinear":
                y = (tf.cast(x, tf.float32) - tf.cast(get(names[2]), tf.float32)) * get(names[1])
            elif op == "Transpose":
                y = x  # the file goes to NCHW here; TensorFlow on a CPU wants NHWC
            elif op in ("Conv", "MaxPool"):
                top, left, bottom, right = given.get("pads", [0, 0, 0, 0])
                if any((top, left, bottom, right)):
                    low = -float("inf") if op == "MaxPool" else 0
                    x = tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]],
                               constant_values=low)
                if op == "MaxPool":
                    y = tf.nn.max_pool2d(x, given["kernel_shape"], given["strides"], "VALID")
                else:
                    if given.get("group", 1) != 1:
                        unsupported("Conv in groups")
                    weight = tf.constant(constants[names[1]].transpose(2, 3, 1, 0))
                    y = tf.nn.conv2d(x, weight, given.get("strides", 1), "VALID")
                    y = tf.nn.bias_add(y, get(names[2])) if len(names) > 2 else y
            elif op == "Relu":
                y = tf.nn.relu(x)
            elif op == "Add":
                y = x + get(names[1])
            elif op == "GlobalAveragePool":
                y = tf.reduce_mean(x, [1, 2], keepdims=True)
            elif op == "Flatten":
                y = tf.reshape(x, [tf.shape(x)[0], -1])  # of 1 x 1 x channels
            elif op == "Gemm":
                y = tf.matmul(x, get(names[1]), transpose_b=bool(given.get("transB"))) + get(names[2])
            else:
                unsupported(op)
            values[output] = y
        return values[result]
    return run
