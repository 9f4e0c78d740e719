# SPDX-License-Identifier: Apache-2.0
"""Device throughput and accuracy of one quantized ONNX file in Pronghorn and other engines.

All of them run in this process on the same tensors, in alternating rounds (one round of each, then
the next), so that a slow spell of the machine hits all alike. Before the clock starts, each engine's
answers on all images are compared with the labels and with Pronghorn's, and Pronghorn's scores with
its reference device, byte for byte. The u8 pixels go in, the scores come out. Engines without INT8 for
such files run its layers in float (float_network.py). `pronghorn bench --peers` calls this.

    python3 -m venv peers && peers/bin/pip install -r bench/peers/requirements.txt
    peers/bin/python bench/peers/compare.py models/resnet50-tin200-int8.onnx --threads 2 --batch 1,32
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import float_network  # noqa: E402
import pronghorn_abi  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


# Each maker gives (precision, version, run) for every precision that it has here; `run` takes u8 NHWC
# pixels and returns float scores. One that cannot be had raises, and the reason is reported.
def onnxruntime_peer(model, float_model, threads, precisions):
    import onnxruntime as ort

    def session(path, providers):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        made = ort.InferenceSession(str(path), options, providers=providers)
        name = made.get_inputs()[0].name
        return lambda x: made.run(None, {name: x})[0]
    yield "int8", ort.__version__, session(model, ["CPUExecutionProvider"])
    if precisions:
        yield "float32", ort.__version__, session(float_model, ["CPUExecutionProvider"])
    if "TensorrtExecutionProvider" in ort.get_available_providers():
        yield "int8 TensorRT", ort.__version__, session(
            model, [("TensorrtExecutionProvider", {"trt_int8_enable": True,
                                                   "trt_fp16_enable": True})])


def openvino_peer(model, float_model, threads, precisions):
    import openvino as ov
    core = ov.Core()

    def compiled(path, precision):
        made = core.compile_model(str(path), "CPU", {
            "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": precision})
        request, output = made.create_infer_request(), made.output(0)
        return lambda x: request.infer({0: x}, share_inputs=True)[output]
    version = ov.__version__.split("-")[0]
    yield "int8", version, compiled(model, "f32")  # INT8 where the file says so, no bf16 elsewhere
    if precisions:
        yield "float32", version, compiled(float_model, "f32")
        if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            yield "bf16", version, compiled(float_model, "bf16")


def torch_peer(model, float_model, threads, precisions):
    import onnx
    import torch
    from float_network import torch_module
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True
    loaded = onnx.load(float_model)

    def runner(module, device):
        def run(x):
            with torch.inference_mode():
                return module(torch.from_numpy(x).to(device)).cpu().numpy()
        return run
    for device in ["cpu"] + (["cuda"] if torch.cuda.is_available() else []):
        dtypes = [("float32", torch.float32)]
        if precisions:
            dtypes.append(("fp16", torch.float16) if device == "cuda" else ("bf16", torch.bfloat16))
        for label, dtype in dtypes:
            module = torch_module(loaded).to(device)
            module = module.to(dtype) if dtype != torch.float32 else module
            yield f"{label} {device}", torch.__version__, runner(module, device)
            yield f"{label} {device} compiled", torch.__version__, runner(
                torch.compile(module, mode="max-autotune-no-cudagraphs" if device == "cpu"
                              else "max-autotune"), device)


def tensorflow_peer(model, float_model, threads, precisions):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import onnx
    import tensorflow as tf
    from float_network import tensorflow_function
    run = tensorflow_function(onnx.load(float_model), threads)
    yield "float32", tf.__version__, lambda x: run(tf.constant(x)).numpy()


MAKERS = {"onnxruntime": onnxruntime_peer, "openvino": openvino_peer, "torch": torch_peer,
          "tensorflow": tensorflow_peer}


def peers_of(names, model, float_model, threads, precisions, sample, left_out):
    """{(system, precision): (version, run)}; what fails goes to left_out with its reason."""
    made = {}
    for name in names:
        if any(entry["system"] == name for entry in left_out):
            continue
        try:
            for precision, version, run in MAKERS[name](model, float_model, threads, precisions):
                try:
                    run(sample)
                    made[name, precision] = (version, run)
                except Exception as error:  # noqa: BLE001: any failure of a peer is a row left out
                    left_out.append({"system": f"{name} {precision}", "reason": reason_of(error)})
        except Exception as error:  # noqa: BLE001
            left_out.append({"system": name, "reason": reason_of(error)})
    if "torch" in names and not any("cuda" in key[1] for key in made):
        left_out.append({"system": "GPU engines (torch.compile, TensorRT, TF-TRT)",
                         "reason": "no NVIDIA card that PyTorch sees"})
    return made


def reason_of(error):
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160] if lines else ''}"


def machine():
    def first(path, key=""):
        try:
            for line in open(path):
                if line.startswith(key):
                    return line.partition(":" if key else "\0")[2].strip() or line.strip()
        except OSError:
            pass
        return ""
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty",
                             "--abbrev=12", "--exclude=*"], capture_output=True, text=True)
    return {"cpu": first("/proc/cpuinfo", "model name"), "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "python": platform.python_version(),
            "load_average": os.getloadavg()[0], "commit": commit.stdout.strip(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def measure(runners, pixels, rounds, seconds):
    """times[name]: the seconds a batch takes, of each round the fastest call and the median."""
    best = {name: [] for name in runners}
    median = {name: [] for name in runners}
    for name, run in runners.items():
        run(pixels)  # warm up: memory, caches, thread pools
    order = list(runners)
    for number in range(rounds):
        for name in order[number % len(order):] + order[:number % len(order)]:
            times = []
            end = time.perf_counter() + seconds
            while len(times) < 1 or time.perf_counter() < end:
                start = time.perf_counter()
                runners[name](pixels)
                times.append(time.perf_counter() - start)
            best[name].append(min(times))
            median[name].append(statistics.median(times))
    return best, median


def scores_of(run, images, batch=8):
    return np.concatenate([np.asarray(run(np.ascontiguousarray(images[i:i + batch])))
                           for i in range(0, len(images), batch)])


def compare(args, runners, images, truth, batches):
    """Accuracy of each on the same images, then speed in alternating rounds."""
    checks, labelled = {}, truth >= 0
    ours = scores_of(runners["pronghorn", "int8"][1], images)
    for key, (_, run) in runners.items():
        scores = ours if key == ("pronghorn", "int8") else scores_of(run, images)
        guess = scores.argmax(1)
        top1 = float((guess[labelled] == truth[labelled]).mean()) if labelled.any() else None
        checks[key] = {"system": " ".join(key), "images": len(images), "top1": top1,
                       "labelled": int(labelled.sum()),
                       "agreement": float((guess == ours.argmax(1)).mean()),
                       "max_difference": float(np.abs(scores - ours).max()),
                       "score_range": float(np.ptp(ours))}
    results = []
    for batch in batches:
        pixels = np.ascontiguousarray(images[np.arange(batch) % len(images)])
        best, median = measure({k: run for k, (_, run) in runners.items()}, pixels, args.rounds,
                               args.seconds)
        mine = median["pronghorn", "int8"]
        for key, (version, _) in runners.items():
            ratio = statistics.median(t / m for t, m in zip(median[key], mine))
            results.append({"system": key[0], "precision": key[1], "version": version,
                            "kind": "device", "batch": batch, "threads": args.threads,
                            "images_per_second": batch / statistics.median(median[key]),
                            "images_per_second_best": batch / min(best[key]),
                            "pronghorn_ratio": ratio, "top1": checks[key]["top1"],
                            "agreement": checks[key]["agreement"],
                            "round_medians_ms": [1e3 * t for t in median[key]],
                            "round_minima_ms": [1e3 * t for t in best[key]]})
        # Round by round, against whichever INT8 peer was faster in that round: what the machine does
        # to all alike cancels out.
        others = [k for k in runners if k[0] != "pronghorn" and k[1].startswith("int8")]
        if others:
            ratios = [min(median[p][i] for p in others) / mine[i] for i in range(args.rounds)]
            results[-len(runners)] |= {
                "best_peer": min(others, key=lambda k: statistics.median(median[k]))[0],
                "ratio_to_best_peer": statistics.median(ratios),
                "ratio_of_best": min(min(best[p]) for p in others) /
                min(best["pronghorn", "int8"])}
        for row in results[-len(runners):]:
            name = " ".join((row["system"], row["precision"]))
            accuracy = (f"top-1 {100 * row['top1']:.2f} %" if row["top1"] is not None
                        else f"same first guess {100 * row['agreement']:.1f} %")
            print(f"  batch {batch:<4} {name:<32} {row['images_per_second']:>9.1f} images/s   "
                  f"pronghorn {row['pronghorn_ratio']:.2f} times   {accuracy}", flush=True)
    return results, list(checks.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="ONNX QDQ file with a u8 NHWC input")
    parser.add_argument("--library", default=str(ROOT / "build" / "libpronghorn.so"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", default="1,32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each peer in each round")
    parser.add_argument("--peers", default="onnxruntime,openvino")
    parser.add_argument("--pixels", help=".npy of u8 [n, h, w, 3]; default: seeded smooth noise")
    parser.add_argument("--labels", help="JSON list: the true class of each image, -1 unknown")
    parser.add_argument("--precisions", action="store_true", help="also float32, bf16 or fp16")
    parser.add_argument("--left-out", help="JSON list of what was not installed, and why")
    parser.add_argument("--out", type=pathlib.Path,
                        help="JSON; default: bench/results/peers-<threads>t.json")
    args = parser.parse_args()

    import onnx
    graph = onnx.load(args.model).graph
    shape = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
    classes = graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    if graph.input[0].type.tensor_type.elem_type != onnx.TensorProto.UINT8 or shape[3] != 3:
        sys.exit(f"{args.model}: the input is not u8 NHWC pixels")
    batches = [int(b) for b in args.batch.split(",")]
    if args.pixels:
        images = np.load(args.pixels)
    else:
        rng = np.random.default_rng(1)
        coarse = rng.integers(0, 256, (8, shape[1] // 8, shape[2] // 8, 3), dtype=np.uint8)
        images = coarse.repeat(8, 1).repeat(8, 2)

    names = args.peers.split(",")
    unknown = [name for name in names if name not in MAKERS]
    if unknown:
        sys.exit(f"--peers: unknown: {', '.join(unknown)}; known: {', '.join(MAKERS)}")
    truth = np.array(json.loads(pathlib.Path(args.labels).read_text()) if args.labels
                     else [-1] * len(images))
    left_out = json.loads(pathlib.Path(args.left_out).read_text()) if args.left_out else []
    ours = pronghorn_abi.Session(args.library, args.model, classes, "cpu", args.threads)
    judge = pronghorn_abi.Session(args.library, args.model, classes, "reference")
    sample = np.ascontiguousarray(images[:2])
    exact = ours.run(sample[:1]).tobytes() == judge.run(sample[:1]).tobytes()
    if not exact:
        sys.exit("pronghorn differs from its reference device; nothing was timed")
    del judge

    with tempfile.TemporaryDirectory() as folder:
        float_model = pathlib.Path(folder) / "float.onnx"
        onnx.save(float_network.strip(args.model), float_model)
        runners = {("pronghorn", "int8"): (f"{ours.version} {ours.isa}", ours.run)}
        if args.precisions:
            try:
                floats = pronghorn_abi.Session(args.library, float_model, classes, "cpu",
                                               args.threads)
                floats.run(sample[:1])
                runners["pronghorn", "float32"] = (floats.version, floats.run)
            except RuntimeError as error:
                left_out.append({"system": "pronghorn float32", "reason": reason_of(error)})
        runners |= peers_of(names, args.model, float_model, args.threads, args.precisions,
                            sample[:1], left_out)
        results, checks = compare(args, runners, images, truth, batches)
    for entry in left_out:
        print(f"  left out: {entry['system']}: {entry['reason']}", flush=True)

    out = args.out or ROOT / "bench" / "results" / f"peers-{args.threads}t.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    report = {"schema": 1, "command": " ".join(["bench/peers/compare.py"] + sys.argv[1:]),
              "machine": machine(), "model": args.model.name, "verified": exact,
              "checks": checks, "results": results, "left_out": left_out}
    temporary = out.with_name(out.name + ".part")
    temporary.write_text(json.dumps(report, indent=1) + "\n")
    temporary.replace(out)
    print(out)


if __name__ == "__main__":
    main()
