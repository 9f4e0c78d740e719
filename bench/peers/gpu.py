#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ResNet50 v1.5 of other engines on an NVIDIA GPU, timed as cuda_bench times ours.

  bench/peers/gpu.py [--batches 1,8,32,128] [--seconds 1] [--compile 1,128] > peers.json

PyTorch in FP16 and channels-last: plain, with a CUDA graph, and with torch.compile (--compile: its
minutes of compiling count as set-up and are stored); ONNX Runtime where it has its CUDA provider.
Weights are random: only the time is of interest. Inputs and outputs stay in device memory. Each
engine's FP16 scores are compared with its own FP32 scores before it is timed.
"""
import argparse
import json
import sys
import time


def timed(torch, run, batch, seconds):
    """Medians over single batches, and the rate of batches one after another."""
    for _ in range(5):
        run()
    torch.cuda.synchronize()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 10:
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    count = max(10, int(seconds / sorted(times)[len(times) // 2]))
    start = time.perf_counter()
    for _ in range(count):
        run()
    torch.cuda.synchronize()
    rate = count * batch / (time.perf_counter() - start)
    times.sort()
    return {"batch": batch, "images_per_second": round(rate),
            "p50_ms": round(times[len(times) // 2] * 1e3, 4),
            "p99_ms": round(times[len(times) * 99 // 100] * 1e3, 4)}


def graph_of(torch, model, x):
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            model(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model(x)
    return graph


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", default="1,8,32,128")
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--compile", default="", help="batches to time torch.compile at")
    args = parser.parse_args()
    batches = [int(b) for b in args.batches.split(",")]

    import torch
    import torchvision
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(1)
    float_model = torchvision.models.resnet50().eval().cuda().to(memory_format=torch.channels_last)
    model = torchvision.models.resnet50().eval().cuda().to(memory_format=torch.channels_last)
    model.load_state_dict(float_model.state_dict())
    model = model.half()
    report = {"gpu": torch.cuda.get_device_name(0), "torch": torch.__version__,
              "torchvision": torchvision.__version__, "results": []}

    def inputs(batch):
        x = torch.randn(batch, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
        return x, x.half()

    with torch.inference_mode():
        x, half = inputs(8)
        want = float_model(x)
        error = ((model(half).float() - want).norm() / want.norm()).item()
        if not error < 1e-2:
            sys.exit(f"peers: PyTorch FP16 differs from FP32 by {error}")
        report["fp16_error"] = error
        for batch in batches:
            _, half = inputs(batch)
            eager = timed(torch, lambda: model(half), batch, args.seconds)
            report["results"].append({"engine": "pytorch fp16 eager", **eager})
            graph = graph_of(torch, model, half)
            report["results"].append({"engine": "pytorch fp16 cuda graph",
                                      **timed(torch, graph.replay, batch, args.seconds)})
        if args.compile:
            compiled = torch.compile(model, dynamic=False)
            for batch in [int(b) for b in args.compile.split(",")]:
                _, half = inputs(batch)
                start = time.perf_counter()
                compiled(half)
                torch.cuda.synchronize()
                setup = time.perf_counter() - start
                graph = graph_of(torch, compiled, half)
                report["results"].append({"engine": "torch.compile fp16, cuda graph",
                                          "setup_s": round(setup, 1),
                                          **timed(torch, graph.replay, batch, args.seconds)})
    try:
        import onnxruntime
        report["onnxruntime"] = onnxruntime.__version__
        report["onnxruntime_providers"] = onnxruntime.get_available_providers()
    except ImportError:
        report["onnxruntime"] = None
    json.dump(report, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
