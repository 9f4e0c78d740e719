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
import signal
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
STOP = []  # not empty once Ctrl-C was pressed: the round under way ends, the rest is left


def quietly(work):
    """work(), with what libraries write to file descriptor 2 dropped; TensorFlow greets at length."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        return work()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


# Each maker gives (precision, version, run) for every precision that it has here; `run` takes u8 NHWC
# pixels and returns float scores. One that cannot be had raises, and the reason is reported.
def onnxruntime_peer(model, float_model, threads, precisions, gpu):
    import onnxruntime as ort

    def session(path, providers):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        made = ort.InferenceSession(str(path), options, providers=providers)
        name = made.get_inputs()[0].name
        return lambda x: made.run(None, {name: x})[0]
    have = ort.get_available_providers()
    if not gpu:
        yield "int8", ort.__version__, session(model, ["CPUExecutionProvider"])
        if precisions:
            yield "float32", ort.__version__, session(float_model, ["CPUExecutionProvider"])
        return
    if "CUDAExecutionProvider" not in have and "TensorrtExecutionProvider" not in have:
        raise RuntimeError(f"built without a GPU: it has {', '.join(have)}")
    if "CUDAExecutionProvider" in have:
        yield "float32 cuda", ort.__version__, session(float_model, ["CUDAExecutionProvider"])
    if "TensorrtExecutionProvider" in have:
        yield "int8 TensorRT", ort.__version__, session(
            model, [("TensorrtExecutionProvider", {"trt_int8_enable": True,
                                                   "trt_fp16_enable": True})])


def openvino_peer(model, float_model, threads, precisions, gpu):
    if gpu:
        raise RuntimeError("has no NVIDIA device")
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


def torch_peer(model, float_model, threads, precisions, gpu):
    import onnx
    import torch
    import torch._inductor.config
    from float_network import torch_module
    if gpu and not torch.cuda.is_available():
        raise RuntimeError("PyTorch sees no NVIDIA card")
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True
    # Weights become constants of the compiled code, in the layout that its kernels like best.
    torch._inductor.config.freezing = not gpu
    device = "cuda" if gpu else "cpu"
    loaded = onnx.load(float_model)
    dtypes = [("float32", torch.float32)]
    if precisions or gpu:
        dtypes.append(("fp16", torch.float16) if gpu else ("bf16", torch.bfloat16))
    for label, dtype in dtypes:
        module = torch_module(loaded).to(device)
        module = module.to(dtype) if dtype != torch.float32 else module

        def eager(x, module=module):
            with torch.inference_mode():
                return module(torch.from_numpy(x).to(device)).cpu().numpy()
        yield f"{label} {device}", torch.__version__, eager
        if gpu:
            yield f"{label} {device} graph", torch.__version__, torch_graph(module)
        if not gpu or label == "fp16":
            compiled = torch.compile(module, dynamic=False,
                                     mode=None if gpu else "max-autotune-no-cudagraphs")
            yield (f"{label} {device} compiled", torch.__version__,
                   torch_graph(compiled) if gpu else lambda x, c=compiled: eager(x, c))


def torch_graph(module):
    """One CUDA graph for each batch size, made when it is first seen; pinned memory to and from."""
    import torch
    graphs = {}

    def run(x):
        if x.shape[0] not in graphs:
            source = torch.empty(x.shape, dtype=torch.uint8, device="cuda")
            host = torch.empty(x.shape, dtype=torch.uint8, pin_memory=True)
            stream = torch.cuda.Stream()
            with torch.inference_mode():
                with torch.cuda.stream(stream):
                    for _ in range(3):
                        module(source)
                torch.cuda.synchronize()
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    result = module(source)
            back = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
            graphs[x.shape[0]] = graph, source, host, result, back
        graph, source, host, result, back = graphs[x.shape[0]]
        host.numpy()[...] = x
        source.copy_(host, non_blocking=True)
        graph.replay()
        back.copy_(result, non_blocking=True)
        torch.cuda.synchronize()
        return back.numpy().copy()
    return run


def tensorflow_peer(model, float_model, threads, precisions, gpu):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import onnx
    import tensorflow as tf
    from float_network import tensorflow_function
    if gpu and not tf.config.list_physical_devices("GPU"):
        raise RuntimeError("TensorFlow sees no GPU")
    run = tensorflow_function(onnx.load(float_model), threads)
    name = "float32 cuda" if gpu else "float32"
    yield name, tf.__version__, lambda x: run(tf.constant(x)).numpy()
    if not gpu:
        return
    # TF-TRT replaces parts of a saved model; not in every build of TensorFlow.
    from tensorflow.python.compiler.tensorrt import trt_convert
    shape = [None, *[d.dim_value for d in
                     onnx.load(float_model).graph.input[0].type.tensor_type.shape.dim][1:]]
    module = tf.Module()
    module.run = tf.function(run.python_function,
                             input_signature=[tf.TensorSpec(shape, tf.uint8)])
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.run)
        converter = trt_convert.TrtGraphConverterV2(input_saved_model_dir=folder,
                                                    precision_mode="FP16")
        converted = converter.convert()
    key = list(converted.structured_input_signature[1])[0]

    def run_converted(x):
        result = converted(**{key: tf.constant(x)})
        return (list(result.values()) if isinstance(result, dict) else result)[0].numpy()
    yield "fp16 TF-TRT", tf.__version__, run_converted


def tensorrt_peer(model, float_model, threads, precisions, gpu):
    """NVIDIA's own engine, from the quantized ONNX file."""
    if not gpu:
        raise RuntimeError("needs an NVIDIA card; give --device cuda")
    import tensorrt as trt
    import torch
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(pathlib.Path(model).read_bytes()):
        raise RuntimeError(f"does not read the file: {parser.get_error(0).desc()}")
    name = network.get_input(0).name
    shape = list(network.get_input(0).shape)[1:]
    profile = builder.create_optimization_profile()
    profile.set_shape(name, (1, *shape), (32, *shape), (128, *shape))
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError("builds no engine of the file")
    engine = trt.Runtime(log).deserialize_cuda_engine(plan)
    context = engine.create_execution_context()
    output = network.get_output(0).name
    classes = list(network.get_output(0).shape)[-1]
    stream = torch.cuda.Stream()

    def run(x):
        with torch.cuda.stream(stream):
            source = torch.from_numpy(x).cuda()
            scores = torch.empty((x.shape[0], classes), device="cuda")
            context.set_input_shape(name, x.shape)
            context.set_tensor_address(name, source.data_ptr())
            context.set_tensor_address(output, scores.data_ptr())
            context.execute_async_v3(stream.cuda_stream)
            return scores.cpu().numpy()
    yield "int8", trt.__version__, run


MAKERS = {"onnxruntime": onnxruntime_peer, "openvino": openvino_peer, "torch": torch_peer,
          "tensorflow": tensorflow_peer, "tensorrt": tensorrt_peer}


def peers_of(names, model, float_model, threads, precisions, gpu, sample, left_out):
    """{(system, precision): (version, run, seconds to set it up)}; what fails goes to left_out with its
    reason."""
    made = {}
    for name in names:
        if STOP:
            left_out.append({"system": name, "reason": "interrupted"})
        if any(entry["system"] == name for entry in left_out):
            continue
        try:
            kinds = MAKERS[name](model, float_model, threads, precisions, gpu)
            while True:
                start = time.perf_counter()
                kind = quietly(lambda kinds=kinds: next(kinds, None))
                if kind is None:
                    break
                precision, version, run = kind
                try:
                    quietly(lambda run=run: run(sample))
                    seconds = time.perf_counter() - start
                    made[name, precision] = (version, run, seconds)
                    print(f"  ready: {name} {precision}, {version} ({seconds:.1f} s)", flush=True)
                except Exception as error:  # noqa: BLE001: any failure of a peer is a row left out
                    left_out.append({"system": f"{name} {precision}", "reason": reason_of(error)})
        except Exception as error:  # noqa: BLE001
            system = "tensorflow, TF-TRT" if gpu and name == "tensorflow" else name
            left_out.append({"system": system, "reason": reason_of(error)})
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
    for run in runners.values():
        quietly(lambda run=run: run(pixels))  # warm up: memory, caches, thread pools, compilers
    order = list(runners)
    for number in range(rounds):
        if STOP and number > 0:
            break  # what is there was measured whole
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


def scores_of(run, images, batch):
    """Of all images, in batches of a size that is timed too: compilers make code for each size."""
    parts = [np.asarray(run(np.ascontiguousarray(images[np.arange(i, i + batch) % len(images)])))
             for i in range(0, len(images), batch)]
    return np.concatenate(parts)[:len(images)]


def compare(args, runners, images, truth, batches, left_out):
    """Accuracy of each on the same images, then speed in alternating rounds. One that fails, or whose
    first guesses are mostly others, is not timed."""
    checks, labelled = {}, truth >= 0
    size = next((b for b in sorted(batches) if b >= 8), max(batches))
    ours = scores_of(runners["pronghorn", "int8"][1], images, size)
    for key, (_, run, _) in list(runners.items()):
        try:
            scores = ours if key == ("pronghorn", "int8") else quietly(
                lambda run=run: scores_of(run, images, size))
            same = float((scores.argmax(1) == ours.argmax(1)).mean())
            if same < 0.5:
                raise RuntimeError(f"only {100 * same:.0f} % of its first guesses are Pronghorn's")
        except Exception as error:  # noqa: BLE001
            left_out.append({"system": " ".join(key), "reason": reason_of(error)})
            del runners[key]
            continue
        guess = scores.argmax(1)
        top1 = float((guess[labelled] == truth[labelled]).mean()) if labelled.any() else None
        checks[key] = {"system": " ".join(key), "images": len(images), "top1": top1,
                       "labelled": int(labelled.sum()),
                       "agreement": float((guess == ours.argmax(1)).mean()),
                       "max_difference": float(np.abs(scores - ours).max()),
                       "score_range": float(np.ptp(ours))}
    results = []
    for batch in batches:
        if STOP:
            break
        pixels = np.ascontiguousarray(images[np.arange(batch) % len(images)])
        best, median = measure({k: run for k, (_, run, _) in runners.items()}, pixels, args.rounds,
                               args.seconds)
        mine = median["pronghorn", "int8"]
        for key, (version, _, setup) in runners.items():
            ratio = statistics.median(t / m for t, m in zip(median[key], mine))
            results.append({"system": key[0], "precision": key[1], "version": version,
                            "kind": "device", "batch": batch, "threads": args.threads,
                            "images_per_second": batch / statistics.median(median[key]),
                            "images_per_second_best": batch / min(best[key]),
                            "pronghorn_ratio": ratio, "top1": checks[key]["top1"],
                            "agreement": checks[key]["agreement"], "setup_seconds": setup,
                            "round_medians_ms": [1e3 * t for t in median[key]],
                            "round_minima_ms": [1e3 * t for t in best[key]]})
        # Round by round, against whichever peer of INT8 was fastest in that round: what the machine does
        # to all alike cancels out.
        # On a GPU few have INT8, so all of them are compared with.
        others = [k for k in runners if k[0] != "pronghorn" and (
            args.device.startswith("cuda") or k[1].startswith("int8"))]
        if others:
            ratios = [min(median[p][i] for p in others) / mine[i] for i in range(len(mine))]
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
    parser.add_argument("--device", default="cpu", help="of Pronghorn; cuda compares GPU engines")
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
    signal.signal(signal.SIGINT, lambda *_: STOP.append(True))

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
    gpu = args.device.startswith("cuda")
    start = time.perf_counter()
    ours = pronghorn_abi.Session(args.library, args.model, classes, args.device, args.threads)
    setup = time.perf_counter() - start
    judge = pronghorn_abi.Session(args.library, args.model, classes, "reference")
    sample = np.ascontiguousarray(images[np.arange(batches[0]) % len(images)])
    exact = ours.run(sample[:1]).tobytes() == judge.run(sample[:1]).tobytes()
    if not exact:
        sys.exit("pronghorn differs from its reference device; nothing was timed")
    del judge

    with tempfile.TemporaryDirectory() as folder:
        float_model = pathlib.Path(folder) / "float.onnx"
        onnx.save(float_network.strip(args.model), float_model)
        runners = {("pronghorn", "int8"): (f"{ours.version} {ours.isa}", ours.run, setup)}
        if args.precisions:
            try:
                start = time.perf_counter()
                floats = pronghorn_abi.Session(args.library, float_model, classes, args.device,
                                               args.threads)
                floats.run(sample[:1])
                runners["pronghorn", "float32"] = (floats.version, floats.run,
                                                   time.perf_counter() - start)
            except RuntimeError as error:
                left_out.append({"system": "pronghorn float32", "reason": reason_of(error)})
        runners |= peers_of(names, args.model, float_model, args.threads, args.precisions, gpu,
                            sample, left_out)
        results, checks = compare(args, runners, images, truth, batches, left_out)
    for entry in left_out:
        print(f"  left out: {entry['system']}: {entry['reason']}", flush=True)

    out = args.out or ROOT / "bench" / "results" / f"peers-{args.threads}t.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    report = {"schema": 1, "command": " ".join(["bench/peers/compare.py"] + sys.argv[1:]),
              "machine": machine(), "model": args.model.name, "verified": exact,
              "checks": checks, "results": results, "left_out": left_out, "partial": bool(STOP)}
    temporary = out.with_name(out.name + ".part")
    temporary.write_text(json.dumps(report, indent=1) + "\n")
    temporary.replace(out)
    if args.out is None:
        print(f"wrote {out}")


if __name__ == "__main__":
    main()
