# SPDX-License-Identifier: Apache-2.0
"""Device throughput of one quantized ONNX file in Pronghorn, onnxruntime and OpenVINO.

All of them run in this process on the same tensors, in alternating rounds (one round of each, then
the next), so that a slow spell of the machine hits all alike. Before the clock starts, each peer's
first guesses are compared with Pronghorn's, and Pronghorn's scores with its reference device, byte
for byte. Only the file as it is counts: the u8 pixels go in, the scores come out.

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
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import pronghorn_abi  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def onnxruntime_peer(model, threads):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return ort.__version__, lambda x: session.run(None, {name: x})[0]


def openvino_peer(model, threads):
    import openvino as ov
    core = ov.Core()
    compiled = core.compile_model(str(model), "CPU", {
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32"})  # INT8 where the file says so, no bf16 elsewhere
    request = compiled.create_infer_request()
    output = compiled.output(0)
    return ov.__version__, lambda x: request.infer({0: x}, share_inputs=True)[output]


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

    ours = pronghorn_abi.Session(args.library, args.model, classes, "cpu", args.threads)
    judge = pronghorn_abi.Session(args.library, args.model, classes, "reference")
    runners = {"pronghorn": ours.run}
    versions = {"pronghorn": f"{ours.version} {ours.isa}"}
    makers = {"onnxruntime": onnxruntime_peer, "openvino": openvino_peer}
    for name in args.peers.split(","):
        versions[name], runners[name] = makers[name](args.model, args.threads)

    sample = np.ascontiguousarray(images[:2])
    scores = ours.run(sample)
    exact = scores[:1].tobytes() == judge.run(sample[:1]).tobytes()
    if not exact:
        sys.exit("pronghorn differs from its reference device; nothing was timed")
    del judge
    checks = {}
    for name, run in runners.items():
        got = np.concatenate([np.asarray(run(sample[i:i + 1])) for i in range(len(sample))])
        checks[name] = {"same_first_guess": bool((got.argmax(1) == scores.argmax(1)).all()),
                        "max_difference": float(np.abs(got - scores).max()),
                        "score_range": float(np.ptp(scores))}

    results = []
    for batch in batches:
        pixels = np.ascontiguousarray(images[np.arange(batch) % len(images)])
        best, median = measure(runners, pixels, args.rounds, args.seconds)
        rates = {name: batch / statistics.median(median[name]) for name in runners}
        fastest = {name: batch / min(best[name]) for name in runners}
        peers = [name for name in runners if name != "pronghorn"]
        best_peer = max(peers, key=rates.get)
        # Round by round, against whichever peer was faster in that round: what the machine does
        # to all alike cancels out.
        ratios = [min(median[p][i] for p in peers) / median["pronghorn"][i]
                  for i in range(args.rounds)]
        for name in runners:
            results.append({"system": name, "version": versions[name], "kind": "device",
                            "batch": batch, "threads": args.threads,
                            "images_per_second": rates[name],
                            "images_per_second_best": fastest[name],
                            "round_medians_ms": [1e3 * t for t in median[name]],
                            "round_minima_ms": [1e3 * t for t in best[name]]})
        results[-len(runners)] |= {"best_peer": best_peer,
                                   "ratio_to_best_peer": statistics.median(ratios),
                                   "ratio_of_best": fastest["pronghorn"] /
                                   max(fastest[p] for p in peers)}
        text = ", ".join(f"{n} {rates[n]:.1f} (best {fastest[n]:.1f})" for n in runners)
        print(f"batch {batch}, {args.threads} threads, images/s: {text}; "
              f"ratio {statistics.median(ratios):.2f}", flush=True)

    out = args.out or ROOT / "bench" / "results" / f"peers-{args.threads}t.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    report = {"schema": 1, "command": " ".join(["bench/peers/compare.py"] + sys.argv[1:]),
              "machine": machine(), "model": args.model.name, "verified": exact,
              "checks": checks, "results": results}
    temporary = out.with_name(out.name + ".part")
    temporary.write_text(json.dumps(report, indent=1) + "\n")
    temporary.replace(out)
    print(out)


if __name__ == "__main__":
    main()
