# SPDX-License-Identifier: Apache-2.0
"""MLCommons' LoadGen on our C interface, against the figures of `pronghorn bench`, turn by turn.

    python3 -m venv peers && peers/bin/pip install numpy mlcommons-loadgen
    peers/bin/python bench/peers/loadgen.py models/resnet50-tin200-int8.onnx --classes 200

SingleStream and MultiStream compare the early-stopping estimates of the p90 and the p99, Offline the
samples a second, Server the p90 of the latency at one rate (half of what the machine can do), counted
from the scheduled arrival; each is the median of the rounds, in which LoadGen and `pronghorn bench` take turns: `ratio` is LoadGen's figure to
ours, and other work on the machine moves it. `same_queries_ratio` is what no noise can move: LoadGen's
figure to ours for the very same queries, timed here and judged by our rules (bench/verdict.cpp).
`--require 0.03` fails when one of either is further than that from 1.
"""
import argparse
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import mlperf_loadgen as lg
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import pronghorn_abi  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = 64


def discards(queries, quantile=0.9, risk=0.01):
    """early_stopping_discards() of bench/verdict.cpp: how many of the largest latencies to leave out."""
    log_p, log_q, tail = math.log(1 - quantile), math.log(quantile), 0.0
    for k in range(queries + 1):
        tail += math.exp(math.lgamma(queries + 1) - math.lgamma(k + 1) - math.lgamma(queries - k + 1) +
                         k * log_p + (queries - k) * log_q)
        if tail > risk:
            return max(k - 1, 0)
    return queries


def run_loadgen(session, pixels, scenario, seconds, rate, batch):
    """What mlperf_log_summary.txt says: {line's name: number or text}."""
    latencies, starts, ends = [], [], []
    kept, failed = {}, []  # buffers and callbacks must outlive their query

    def issue_queued(queries):
        for query in queries:
            begin = time.perf_counter()
            starts.append(begin)

            def done(error, query=query, begin=begin):
                latencies.append(time.perf_counter() - begin)
                failed.extend([error] if error else [])
                lg.QuerySamplesComplete([lg.QuerySampleResponse(query.id, 0, 0)])
            kept[query.id] = session.submit(pixels[query.index:query.index + 1], done)

    def issue(queries):
        starts.append(time.perf_counter())
        for at in range(0, len(queries), batch):
            part = queries[at:at + batch]
            session.run(np.ascontiguousarray(pixels[[q.index for q in part]]))
            lg.QuerySamplesComplete([lg.QuerySampleResponse(q.id, 0, 0) for q in part])
        ends.append(time.perf_counter())
        latencies.append(ends[-1] - starts[-1])

    settings = lg.TestSettings()
    settings.mode = lg.TestMode.PerformanceOnly
    settings.scenario = getattr(lg.TestScenario, scenario)
    settings.min_duration_ms = int(1000 * seconds)
    settings.min_query_count = {"SingleStream": 64, "MultiStream": 662}.get(scenario, 1)
    settings.multi_stream_expected_latency_ns = int(8e9 / rate)
    settings.multi_stream_samples_per_query = 8
    settings.server_target_qps = rate
    settings.server_target_latency_ns = int(1e9)  # no verdict is asked: the latencies are compared
    settings.offline_expected_qps = rate
    settings.single_stream_expected_latency_ns = int(1e9 / rate)
    with tempfile.TemporaryDirectory() as folder:
        output = lg.LogOutputSettings()
        output.outdir = folder
        output.copy_summary_to_stdout = False
        logs = lg.LogSettings()
        logs.log_output = output
        logs.enable_trace = False
        sut = lg.ConstructSUT(issue_queued if scenario == "Server" else issue, lambda: None)
        qsl = lg.ConstructQSL(SAMPLES, SAMPLES, lambda _: None, lambda _: None)
        lg.StartTestWithLogSettings(sut, qsl, settings, logs)
        lg.DestroyQSL(qsl)
        lg.DestroySUT(sut)
        text = (pathlib.Path(folder) / "mlperf_log_summary.txt").read_text()
    if failed:
        sys.exit(f"a query failed: {failed[0]}")
    found = dict(re.findall(r"^([^:\n]+?)\s*: (\S+)", text, re.M))
    estimate = re.search(r"percentile estimate: (\d+)", text)
    if scenario == "Offline":
        value = float(found["Samples per second"])
        count = int(re.search(r"samples_per_query : (\d+)", text).group(1))
        same = count / (ends[-1] - starts[0])
    elif scenario == "Server":
        value = 1e-6 * float(found["90.00 percentile latency (ns)"])
        same = 1e3 * sorted(latencies)[math.ceil(0.9 * len(latencies)) - 1]
    else:
        value = 1e-6 * float(estimate.group(1)) if estimate else None
        quantile = 0.9 if scenario == "SingleStream" else 0.99
        same = 1e3 * sorted(latencies)[-max(1, discards(len(latencies), quantile))]
    return {"verdict": found.get("Result is"), "summary": text, "value": value, "same": same}


def run_ours(program, scenario, seconds, threads, batch, rate=0):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.json"
        load = (["--rate", str(rate), "--latency-bound", "1000"] if scenario == "Server"
                else ["--scenario", scenario.lower()])
        # A sweep's rate is held for half of --seconds. Few rounds of throughput: only load matters.
        asked = 2 * seconds if scenario == "Server" else seconds
        subprocess.run([program, "bench", "--kind", "device", "--batch", str(batch), "--repeats", "1",
                        *load, "--seconds", str(asked), "--most-seconds", "0.1", "--threads",
                        str(threads), "--no-report", "--json", str(out)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        report = json.loads(out.read_text())
    if scenario == "Server":
        entry = report["rates"][0]
        return {"verdict": entry["verdict"], "value": entry["latency_ms"]["p90"],
                "machine": report["machine"]}
    entry = report["scenarios"][0]
    return {"verdict": entry["verdict"], "value": entry["metric"]["value"],
            "machine": report["machine"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="ONNX QDQ file with a u8 NHWC input")
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--width", type=int, default=224)
    parser.add_argument("--program", default=str(ROOT / "build" / "pronghorn"))
    parser.add_argument("--library", default=str(ROOT / "build" / "libpronghorn.so"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=8, help="of Offline")
    parser.add_argument("--seconds", type=float, default=5, help="of each run")
    parser.add_argument("--rounds", type=int, default=3, help="one of MultiStream where it is long")
    parser.add_argument("--scenario", default="SingleStream,MultiStream,Server,Offline")
    parser.add_argument("--require", type=float, help="largest distance of a ratio from 1")
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()

    session = pronghorn_abi.Session(args.library, args.model, args.classes, "cpu", args.threads)
    pixels = np.random.default_rng(1).integers(0, 256, (SAMPLES, args.width, args.width, 3),
                                               dtype=np.uint8)
    session.run(pixels[:args.batch])
    rows, machine, worst = [], {}, 0
    units = {"SingleStream": "p90 ms, early stopping", "MultiStream": "p99 ms, early stopping",
             "Server": "p90 ms at one rate", "Offline": "samples/s"}
    whole = run_ours(args.program, "Offline", 1, args.threads, args.batch)["value"]
    one = 1000 / run_ours(args.program, "SingleStream", 1, args.threads, 1)["value"]
    for scenario in args.scenario.split(","):
        unit = units[scenario]
        batch = {"SingleStream": 1, "Server": 1, "MultiStream": 8}.get(scenario, args.batch)
        rate = {"SingleStream": one, "Server": one / 2}.get(scenario, whole)
        # Early stopping takes 662 queries of MultiStream, however long those last.
        seconds = max(args.seconds, 7.5 * 662 / whole / 8) if scenario == "MultiStream" else args.seconds
        theirs, ours, same, verdicts = [], [], [], []
        for _ in range(1 if scenario == "MultiStream" and 8 * 662 / whole > 20 else args.rounds):
            other = run_loadgen(session, pixels, scenario, args.seconds, rate, batch)
            mine = run_ours(args.program, scenario, seconds, args.threads, batch, rate)
            if other["value"] is None:
                sys.exit(f"LoadGen gave no figure for {scenario}:\n{other['summary']}")
            theirs.append(other["value"])
            ours.append(mine["value"])
            same.append(other["value"] / other["same"])
            verdicts.append([other["verdict"], mine["verdict"]])
            machine = mine["machine"]
        ratio = statistics.median(t / o for t, o in zip(theirs, ours))
        worst = max(worst, abs(ratio - 1), *(abs(r - 1) for r in same))
        rows.append({"scenario": scenario, "unit": unit, "rate": rate, "loadgen": theirs, "pronghorn": ours,
                     "verdicts": verdicts, "ratio": ratio, "same_queries_ratio": same})
        print(f"{scenario}: LoadGen {statistics.median(theirs):.3f}, pronghorn bench "
              f"{statistics.median(ours):.3f} {unit}; ratio {ratio:.4f}, of the same queries "
              f"{', '.join(f'{r:.4f}' for r in same)}", flush=True)
    if args.out:
        report = {"schema": "pronghorn-loadgen-1", "machine": machine, "rows": rows,
                  "command": " ".join(["bench/peers/loadgen.py"] + sys.argv[1:])}
        temporary = args.out.with_name(args.out.name + ".part")
        temporary.write_text(json.dumps(report, indent=1) + "\n")
        temporary.replace(args.out)
    if args.require is not None and worst > args.require:
        sys.exit(f"the figures differ by {100 * worst:.1f} %, {100 * args.require:g} % are allowed")


if __name__ == "__main__":
    main()
