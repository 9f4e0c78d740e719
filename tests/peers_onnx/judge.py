#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges the ONNX importer and exporter against onnxruntime.

  pip install -r tests/peers_onnx/requirements.txt
  python tests/peers_onnx/judge.py --library build/libpronghorn.so

float:     networks of topologies.py (and --model FILE), onnxruntime's logits against ours. Fails
           above 1e-4 of the logit range.
quantized: some of them quantized by onnxruntime.quantization.quantize_static in several settings,
           run by onnxruntime without graph optimisation against our integers; differences are given
           in steps of the last quantized tensor that can be told from the logits. Fails above
           --steps.
export:    what ph_model_save writes of each, run by onnxruntime with its default optimisations
           against our own logits, and loaded and saved again for equal bytes. Of a quantized file
           onnxruntime must, without optimisation, give the very bits that it gives for the original.
           With optimisation its int8 kernels depart from the file's own meaning (up to 5 % of the
           range in the networks here, on a processor with AVX2 only and full-range weights): that
           departure, measured on the original as "ort_itself", is granted on top of 2 %.

Prints one line a case and writes --json FILE. Exit status 1 when anything fails.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort

import pronghorn_c
import topologies

FLOAT_BAR = 1e-4


def run_ort(path, images, optimise=True):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0].reshape(len(images), -1)


def relative(ours, theirs):
    span = float(theirs.max() - theirs.min())
    return float(np.abs(ours - theirs).max()) / max(span, 1e-30)


def images_for(path, count, seed):
    """Smooth images and noise, about normalised: what a network meets."""
    tensor = onnx.load(path).graph.input[0].type.tensor_type
    dims = [d.dim_value for d in tensor.shape.dim]
    rng = np.random.default_rng(seed)
    if tensor.elem_type == onnx.TensorProto.UINT8:  # raw pixels, NHWC
        coarse = rng.integers(0, 256, (count, dims[1] // 8 + 1, dims[2] // 8 + 1, dims[3]), np.uint8)
        return coarse.repeat(8, 1).repeat(8, 2)[:, :dims[1], :dims[2]]
    coarse = rng.normal(0, 1, (count, dims[1], dims[2] // 8 + 1, dims[3] // 8 + 1))
    smooth = coarse.repeat(8, 2).repeat(8, 3)[:, :, :dims[2], :dims[3]]
    return (0.8 * smooth + 0.4 * rng.normal(0, 1, smooth.shape)).astype(np.float32)


class Report:
    def __init__(self):
        self.rows = []

    def add(self, part, name, figures, good):
        self.rows.append({"part": part, "case": name, "good": bool(good), **figures})
        text = "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}"
                         for k, v in figures.items())
        print(f"{'ok  ' if good else 'FAIL'} {part:<10} {name:<44} {text}", flush=True)


def judge_float(report, library, name, path, args):
    images = images_for(path, args.images, args.seed)
    theirs = run_ort(path, images)
    ours = library.load(path).run(images, args.device, args.threads)
    error = relative(ours, theirs)
    same = float((ours.argmax(1) == theirs.argmax(1)).mean())
    report.add("float", name, {"error": error, "range": float(theirs.max() - theirs.min()),
                               "same_top1": same}, error <= FLOAT_BAR)


class Batches:
    """A CalibrationDataReader."""

    def __init__(self, name, images):
        self.left = [{name: image[None]} for image in images]

    def get_next(self):
        return self.left.pop(0) if self.left else None


SETTINGS = {
    "u8s8-channel": dict(per_channel=True, activation="QUInt8", weight="QInt8"),
    "u8s8-channel-reduced": dict(per_channel=True, reduce_range=True, activation="QUInt8",
                                 weight="QInt8"),
    "s8s8-channel": dict(per_channel=True, activation="QInt8", weight="QInt8"),
    "u8s8-tensor": dict(per_channel=False, activation="QUInt8", weight="QInt8"),
    "u8u8-tensor": dict(per_channel=False, activation="QUInt8", weight="QUInt8"),
    "s8s8-symmetric": dict(per_channel=True, activation="QInt8", weight="QInt8",
                           extra={"ActivationSymmetric": True}),
}


def quantize(source, target, setting):
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    prepared = target + ".prepared.onnx"
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    name = onnx.load(source).graph.input[0].name
    quantize_static(prepared, target, Batches(name, images_for(source, 4, 99)),
                    quant_format=QuantFormat.QDQ, per_channel=setting["per_channel"],
                    reduce_range=setting.get("reduce_range", False),
                    activation_type=getattr(QuantType, setting["activation"]),
                    weight_type=getattr(QuantType, setting["weight"]),
                    extra_options=setting.get("extra", {}))


def logit_step(path):
    """The scale of the tensor that the output is dequantized from; None when it is a product."""
    graph = onnx.load(path).graph
    makers = {n.output[0]: n for n in graph.node}
    weights = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    name = graph.output[0].name
    while name in makers and makers[name].op_type in ("Identity", "Reshape", "Flatten"):
        name = makers[name].input[0]
    node = makers.get(name)
    if node is None or node.op_type != "DequantizeLinear":
        return None
    return float(weights[node.input[1]])


def judge_quantized(report, library, name, path, args):
    images = images_for(path, args.images, args.seed)
    theirs = run_ort(path, images, optimise=False)
    ours = library.load(path).run(images, args.device, args.threads)
    step = logit_step(path)
    difference = np.abs(ours - theirs)
    figures = {"relative": relative(ours, theirs),
               "same_top1": float((ours.argmax(1) == theirs.argmax(1)).mean())}
    good = figures["relative"] < 0.05
    if step:
        figures["steps_max"] = float(difference.max()) / step
        figures["steps_mean"] = float(difference.mean()) / step
        good = figures["steps_max"] <= args.steps
    report.add("quantized", name, figures, good)


def judge_export(report, library, name, path, args):
    model = library.load(path)
    written, again = path + ".written.onnx", path + ".again.onnx"
    model.save(written)
    library.load(written).save(again)
    with open(written, "rb") as a, open(again, "rb") as b:
        equal = a.read() == b.read()
    onnx.checker.check_model(written)
    images = images_for(path, args.images, args.seed)
    ours = model.run(images, args.device, args.threads)
    theirs = run_ort(written, images)
    reloaded = library.load(written).run(images, args.device, args.threads)
    figures = {"error": relative(ours, theirs), "same_bytes": equal,
               "same_logits": bool((reloaded == ours).all())}
    bar = FLOAT_BAR
    if model.info.quantized:
        plain = run_ort(path, images, optimise=False)
        figures["ort_itself"] = relative(run_ort(path, images), plain)
        figures["ort_same_bits"] = bool((run_ort(written, images, optimise=False) == plain).all())
        bar = 0.02 + figures["ort_itself"]
    good = equal and figures["same_logits"] and figures.get("ort_same_bits", True)
    report.add("export", name, figures, good and figures["error"] <= bar)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="build/libpronghorn.so")
    parser.add_argument("--model", action="append", default=[], help="another model to judge")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--parts", default="float,quantized,export")
    parser.add_argument("--quantize", default="resnet18-opset13,mobilenetv2-opset13,"
                        "inception-opset17,vgg16-opset13",
                        help="networks to quantize; from opset 13, which per-channel needs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=float, default=8)
    parser.add_argument("--json")
    args = parser.parse_args()
    library = pronghorn_c.Library(args.library)
    report = Report()
    parts = args.parts.split(",")

    def attempt(judge, part, name, path):
        try:
            judge(report, library, name, path, args)
        except pronghorn_c.Error as error:
            report.add(part, name, {"error": str(error)}, False)

    with tempfile.TemporaryDirectory() as folder:
        cases = {name: make for name, make in topologies.networks().items() if args.only in name}
        files = {pathlib.Path(path).stem: path for path in args.model if args.only in path}
        for name in [*cases, *files]:
            path = files.get(name)
            if path is None:
                path = f"{folder}/{name}.onnx"
                onnx.save(cases[name](), path)
            else:
                link = f"{folder}/{name}.onnx"
                pathlib.Path(link).symlink_to(pathlib.Path(path).resolve())
                path = link
            quantized = any(n.op_type == "DequantizeLinear" for n in onnx.load(path).graph.node)
            if quantized and "quantized" in parts:
                attempt(judge_quantized, "quantized", name, path)
            if not quantized and "float" in parts:
                attempt(judge_float, "float", name, path)
            if "export" in parts:
                attempt(judge_export, "export", name, path)
            if not quantized and (name in args.quantize.split(",") or name in files):
                for label, setting in SETTINGS.items():
                    if "quantized" not in parts:
                        break
                    target = f"{folder}/{name}.{label}.onnx"
                    quantize(path, target, setting)
                    attempt(judge_quantized, "quantized", f"{name}.{label}", target)
                    if "export" in parts:
                        attempt(judge_export, "export", f"{name}.{label}", target)
            for file in pathlib.Path(folder).glob("*"):
                file.unlink()
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(
            {"onnxruntime": ort.__version__, "onnx": onnx.__version__, "seed": args.seed,
             "cases": report.rows}, indent=1) + "\n")
    bad = [row["case"] for row in report.rows if not row["good"]]
    print(f"{len(report.rows)} cases, {len(bad)} failed" + (": " + ", ".join(bad) if bad else ""))
    return 1 if bad or not report.rows else 0


if __name__ == "__main__":
    sys.exit(main())
