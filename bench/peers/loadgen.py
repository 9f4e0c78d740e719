# SPDX-License-Identifier: Apache-2.0
"""MLCommons' LoadGen on our C interface, against the rules and the figures of `pronghorn bench`.

    python3 -m venv peers && peers/bin/pip install -r bench/peers/requirements.txt
    peers/bin/python bench/peers/loadgen.py models/resnet50-tin200-int8.onnx --classes 200

Two comparisons, of each scenario:

same queries   LoadGen's figure beside what our rules (bench/verdict.cpp, bench/statistics.cpp) make of
               the very same queries, timed here: percentiles, early-stopping estimates, samples a
               second, and for Server at several rates the verdict on a latency bound. No noise
               moves it.
in turn        LoadGen and `pronghorn bench` run one after the other, who comes first alternating;
               for Server ours replays the arrival times of LoadGen's (--trace). The ratio of each
               pair has a 95 % interval over the pairs (by order statistics); beside it stand how far
               LoadGen's own runs, and ours, differ among themselves. "agree": the interval is inside
               the limit. "differ": it is outside. "not told": it is wider than the limit can tell,
               because the machine does not repeat its latencies that well, or there are fewer than
               the six pairs that such an interval takes.

`--scenario ServerPeak` compares searches: LoadGen's FindPeakPerformance and `pronghorn bench --scenario
server` look for the highest rate that keeps one latency bound at the p99, in turn. LoadGen doubles its
rate, then halves the interval, each rate judged by the plain quantile of one short run; ours does the same
with runs as long and then asks a run of three times that length, with early stopping, to confirm it.
The rates before the confirmation are compared, with an interval as above.

`--require 0.03` sets the limit. It fails when a ratio of the same queries is further than that from 1,
when a verdict on the same queries is another, or when runs in turn differ.
`--rules FILE` compares the settings of a stored `pronghorn bench --official` run with those that
LoadGen has for resnet50 in the mlperf.conf inside it.
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
# Server is judged by its p90 here: a p99 takes 662 queries of every run.
QUANTILE = {"SingleStream": 0.9, "MultiStream": 0.99, "Server": 0.9}
# What is judged, and what repeats better.
METRICS = {"SingleStream": ["p90 ms, early stopping", "p50 ms"],
           "MultiStream": ["p99 ms, early stopping", "p50 ms"],
           "Server": ["p90 ms", "p50 ms"], "Offline": ["samples/s"]}
SERVER_RATE = 0.5  # in turn; of what one query after the other gives
VERDICT_RATES = (0.3, 0.6, 0.9, 1.2)
PEAK = "highest rate, queries/s"


def discards(queries, quantile, risk=0.01):
    """early_stopping_discards() of bench/verdict.cpp: the t of "the t-th largest latency is the
    estimate", 0 with too few. LoadGen prints t - 1, `pronghorn bench` stores it: both are compared."""
    log_p, log_q, tail = math.log(1 - quantile), math.log(quantile), 0.0
    for k in range(queries + 1):
        tail += math.exp(math.lgamma(queries + 1) - math.lgamma(k + 1) - math.lgamma(queries - k + 1) +
                         k * log_p + (queries - k) * log_q)
        if tail > risk:
            return k - 1 if k > 1 else 0
    return queries


def plain_percentile(values, percent):
    """As LoadGen takes it: rank floor(n q) + 1. Ours (bench/statistics.cpp) is ceil(n q), which is one
    lower where n q is whole. Neither is judged: early stopping and verdicts are."""
    return sorted(values)[min(len(values) - 1, percent * len(values) // 100)]


def smaller(model, width, folder):
    """The same network for smaller images, so that 662 queries of 8 take seconds."""
    import onnx
    loaded = onnx.load(model)
    dims = loaded.graph.input[0].type.tensor_type.shape.dim
    dims[1].dim_value = dims[2].dim_value = width
    del loaded.graph.value_info[:]
    path = pathlib.Path(folder) / f"width-{width}.onnx"
    onnx.save(loaded, path)
    return path


class System:
    """Our session as LoadGen's system under test; remembers when each query began and ended."""

    def __init__(self, session, pixels, batch):
        self.session, self.pixels, self.batch = session, pixels, batch
        self.begins, self.latencies, self.failed, self.kept = [], [], [], []

    def queue(self, queries):
        for query in queries:
            begin, at = time.perf_counter(), len(self.begins)
            self.begins.append(begin)
            self.latencies.append(None)

            def done(error, query=query, begin=begin, at=at):
                self.latencies[at] = time.perf_counter() - begin
                self.failed.extend([error] if error else [])
                lg.QuerySamplesComplete([lg.QuerySampleResponse(query.id, 0, 0)])
            # Buffers and callbacks must outlive their query.
            self.kept.append(self.session.submit(self.pixels[query.index:query.index + 1], done))

    def run(self, queries):
        begin = time.perf_counter()
        self.begins.append(begin)
        for at in range(0, len(queries), self.batch):
            part = queries[at:at + self.batch]
            self.session.run(np.ascontiguousarray(self.pixels[[q.index for q in part]]))
            lg.QuerySamplesComplete([lg.QuerySampleResponse(q.id, 0, 0) for q in part])
        self.latencies.append(time.perf_counter() - begin)


def settings_of(scenario, seconds, rate, bound, seed):
    settings = lg.TestSettings()
    settings.mode = lg.TestMode.PerformanceOnly
    settings.scenario = getattr(lg.TestScenario, scenario)
    settings.min_duration_ms = int(1000 * seconds)
    settings.min_query_count = {"SingleStream": 64, "MultiStream": 662}.get(scenario, 1)
    settings.multi_stream_expected_latency_ns = int(8e9 / rate)
    settings.multi_stream_samples_per_query = 8
    settings.server_target_qps = rate
    settings.server_target_latency_ns = int(1e9 * bound)
    settings.schedule_rng_seed = seed
    settings.server_target_latency_percentile = QUANTILE["Server"]
    settings.offline_expected_qps = rate
    settings.single_stream_expected_latency_ns = int(1e9 / rate)
    return settings


def run_loadgen(system, scenario, seconds, rate, bound, seed=0):
    """What LoadGen's summary says, and what our rules say of the same queries."""
    with tempfile.TemporaryDirectory() as folder:
        output = lg.LogOutputSettings()
        output.outdir = folder
        output.copy_summary_to_stdout = False
        logs = lg.LogSettings()
        logs.log_output = output
        logs.enable_trace = scenario == "Server"
        sut = lg.ConstructSUT(system.queue if scenario == "Server" else system.run, lambda: None)
        qsl = lg.ConstructQSL(SAMPLES, SAMPLES, lambda _: None, lambda _: None)
        lg.StartTestWithLogSettings(sut, qsl, settings_of(scenario, seconds, rate, bound, seed), logs)
        lg.DestroyQSL(qsl)
        lg.DestroySUT(sut)
        text = (pathlib.Path(folder) / "mlperf_log_summary.txt").read_text()
        trace = (pathlib.Path(folder) / "mlperf_log_trace.json").read_text() if logs.enable_trace else ""
    if system.failed:
        sys.exit(f"a query failed: {system.failed[0]}")
    found = dict(re.findall(r"^\s*([^:\n]+?)\s*: (\S+)", text, re.M))
    result = {"verdict": found["Result is"], "queries": len(system.latencies)}
    if scenario == "Offline":
        count = int(found["samples_per_query"])
        return result | {"samples/s": float(found["Samples per second"]),
                         "same": {"samples/s": count / system.latencies[0]}}
    latencies = system.latencies
    if scenario == "Server":
        # A query's latency counts from its scheduled time. LoadGen's trace says how much later it was
        # handed over; the clock here starts at that moment.
        late = {int(at): 1e-9 * int(ns) for at, ns in re.findall(
            r'"sample_seq":(\d+),.*?"issue_start_ns":(-?\d+)', trace)}
        latencies = [latency + late[at] for at, latency in enumerate(latencies)]
        due = [float(ts) for ts in re.findall(r'"name":"Sample".*?"ph":"b".*?"ts":([\d.]+),"args"', trace)]
        result["arrivals"] = [1e-6 * (ts - min(due)) for ts in sorted(due)]
        result["largest_lateness_ms"] = 1e3 * max(late.values())
    quantile = QUANTILE[scenario]
    left_out = discards(len(latencies), quantile)
    said = re.search(r"Would discard (\d+) highest", text)
    if said and int(said.group(1)) != left_out - 1:
        sys.exit(f"{scenario}: LoadGen discards {said.group(1)} of {len(latencies)} queries, our rule "
                 f"{left_out - 1}")
    same = {f"p{p} ms": 1e3 * plain_percentile(latencies, p) for p in (50, 90, 99)}
    for p in (50, 90, 99):
        result[f"p{p} ms"] = 1e-6 * float(found[f"{p}.00 percentile latency (ns)"])
    estimate = 1e3 * sorted(latencies)[-left_out] if left_out > 0 else None
    if scenario == "Server":
        # LoadGen wants so many queries that as many as were late may be, with 99 % confidence.
        result["constraint"] = (found["Performance constraints satisfied"] == "Yes" and
                                found["Early stopping satisfied"].lower() == "yes")
        same["constraint"] = estimate is not None and estimate <= 1e3 * bound
        result["estimate"] = estimate
    else:
        theirs = re.search(r"percentile estimate: (\d+)", text)
        if theirs is None or estimate is None:
            sys.exit(f"LoadGen gave no estimate for {scenario}:\n{text}")
        result[METRICS[scenario][0]] = 1e-6 * float(theirs.group(1))
        same[METRICS[scenario][0]] = estimate
    return result | {"same": same}


def run_ours(program, model, width, scenario, seconds, threads, batch, arrivals=None):
    with tempfile.TemporaryDirectory() as folder:
        out, times = pathlib.Path(folder) / "out.json", pathlib.Path(folder) / "arrivals.txt"
        load = ["--scenario", scenario.lower()]
        if scenario == "Server":
            times.write_text("\n".join(f"{at:.9f}" for at in arrivals))
            load = ["--trace", str(times), "--latency-bound", "1000"]
        # Few rounds of throughput: only load matters.
        subprocess.run([program, "bench", "--model", str(model), "--kind", "device", "--batch",
                        str(batch), "--resize", f"direct:{width}", "--repeats", "1", *load,
                        "--seconds", str(seconds),
                        "--most-seconds", "0.1", "--threads", str(threads), "--no-report", "--json",
                        str(out)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        report = json.loads(out.read_text())
    entry = report["trace"] if scenario == "Server" else report["scenarios"][0]
    result = {"verdict": entry["verdict"], "machine": report["machine"], "queries": entry["queries"]}
    if scenario == "Offline":
        return result | {"samples/s": entry["metric"]["value"]}
    left_out = discards(entry["latency_ms"]["samples"], entry["settings"]["quantile"])
    if (entry["discarded"] if entry["discarded"] is not None else -1) != left_out - 1:
        sys.exit(f"{scenario}: pronghorn bench discards {entry['discarded']} of {entry['queries']} "
                 f"queries, the rule here {left_out - 1}")
    for p in (50, 90, 99):
        result[f"p{p} ms"] = entry["latency_ms"][f"p{p}"]
    if scenario != "Server":
        result[METRICS[scenario][0]] = entry["metric"]["value"]
    return result


def loadgen_peak(session, pixels, seconds, first_rate, bound):
    """FindPeakPerformance of the scenario Server. It has to keep the bound at `first_rate`."""
    settings = settings_of("Server", seconds, first_rate, bound, 0)
    settings.mode = lg.TestMode.FindPeakPerformance
    settings.server_target_latency_percentile = 0.99
    settings.min_query_count = 1
    settings.server_find_peak_qps_boundary_step_size = 1
    # Digits after the point of its answer, which may be negative there: the interval ends at 1 query/s.
    settings.server_find_peak_qps_decimals_of_precision = 0
    with tempfile.TemporaryDirectory() as folder:
        output = lg.LogOutputSettings()
        output.outdir = folder
        output.copy_summary_to_stdout = False
        logs = lg.LogSettings()
        logs.log_output = output
        logs.enable_trace = False
        system = System(session, pixels, 1)
        sut, qsl = (lg.ConstructSUT(system.queue, lambda: None),
                    lg.ConstructQSL(SAMPLES, SAMPLES, lambda _: None, lambda _: None))
        lg.StartTestWithLogSettings(sut, qsl, settings, logs)
        lg.DestroyQSL(qsl)
        lg.DestroySUT(sut)
        detail = (pathlib.Path(folder) / "mlperf_log_detail.txt").read_text()
    found = re.search(r"Found peak performance field: ([\d.]+)", detail)
    if system.failed or found is None:
        said = re.findall(r"FindPeakPerformance[^\n\"]*", detail)
        sys.exit(f"LoadGen found no peak from {first_rate:.1f} queries/s on: {system.failed[:1] or said[-1:]}")
    return {PEAK: float(found.group(1))}


def our_peak(args, model, width, seconds, bound):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.json"
        subprocess.run([args.program, "bench", "--model", str(model), "--kind", "device", "--batch", "1",
                        "--resize", f"direct:{width}", "--repeats", "1", "--scenario", "server",
                        "--latency-bound", str(1e3 * bound), "--seconds", str(3 * seconds),
                        "--most-seconds", "0.1", "--threads", str(args.threads), "--no-report",
                        "--json", str(out)],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        report = json.loads(out.read_text())
    entry = report["scenarios"][0]
    # The probes, without the runs that confirm, which have other rates or more queries.
    kept = [t["rate"] for t in entry["search"] if t["kept"]]
    if not kept:
        sys.exit(f"pronghorn bench found no rate within {1e3 * bound:.1f} ms")
    return {PEAK: max(kept), "confirmed": entry["settings"]["rate"], "verdict": entry["verdict"],
            "machine": report["machine"]}


def compare_peaks(args, model, session, pixels):
    session.run(pixels[:1])
    each = min(timed(session, pixels[:1]) for _ in range(20))
    bound = 8 * each
    theirs, ours = [], []
    for number in range(args.rounds):
        turns = [lambda: theirs.append(loadgen_peak(session, pixels, args.seconds, 0.25 / each, bound)),
                 lambda: ours.append(our_peak(args, model, pixels.shape[1], args.seconds, bound))]
        for turn in turns if number % 2 == 0 else reversed(turns):
            turn()
    return {"scenario": "ServerPeak", "width": pixels.shape[1], "rounds": args.rounds,
            "latency_bound_ms": 1e3 * bound, "quantile": 0.99, "same_queries": {},
            "in_turn": [in_turn(PEAK, theirs, ours, args.require or 0.03)],
            "confirmed": [o["confirmed"] for o in ours],
            "verdicts": [o["verdict"] for o in ours]}, ours[0]["machine"]


def spread(values):
    return max(values) / min(values) - 1


def interval_of_median(values):
    """median_interval() of bench/statistics.cpp: 95 %, the extremes for fewer than six."""
    ordered, below, rank = sorted(values), 0.0, 0
    for i in range(len(ordered) // 2):
        below += math.comb(len(ordered), i) / 2 ** len(ordered)
        if below > 0.025:
            break
        rank = i + 1
    return [ordered[max(rank, 1) - 1], ordered[len(ordered) - max(rank, 1)]]


def in_turn(metric, theirs, ours, limit):
    ratios = [t[metric] / o[metric] for t, o in zip(theirs, ours)]
    low, high = interval_of_median(ratios)
    outcome = ("not told" if len(ratios) < 6 else "agree" if 1 - limit <= low and high <= 1 + limit else
               "differ" if high < 1 - limit or low > 1 + limit else "not told")
    return {"metric": metric, "loadgen": [t[metric] for t in theirs],
            "pronghorn": [o[metric] for o in ours], "ratio": statistics.median(ratios),
            "interval_95": [low, high], "outcome": outcome,
            "loadgen_runs_differ": spread([t[metric] for t in theirs]),
            "pronghorn_runs_differ": spread([o[metric] for o in ours])}


def same_queries(scenario, runs):
    """LoadGen's figure to ours, of each run."""
    metrics = [m for m in runs[0]["same"] if m != "constraint"]
    row = {m: [r[m] / r["same"][m] for r in runs] for m in metrics}
    if scenario == "Server":
        row["verdicts"] = [[r["constraint"], r["same"]["constraint"]] for r in runs]
    return row


def compare(args, scenario, model, session, pixels):
    batch = {"SingleStream": 1, "Server": 1, "MultiStream": 8}.get(scenario, args.batch)
    start = time.perf_counter()
    session.run(pixels[:batch])
    each = min(time.perf_counter() - start, *(timed(session, pixels[:batch]) for _ in range(5)))
    rate = batch / each
    if scenario == "Server":
        rate *= SERVER_RATE
    seconds = args.seconds
    if scenario == "MultiStream":  # early stopping takes 662 queries, however long those last
        seconds = max(seconds, 7.5 * 662 * each / 60, 662 * each / 8)
    bound = 4 * each  # of Server's verdicts
    theirs, ours = [], []

    def loadgen(number):  # two rounds with the same arrivals, then others
        theirs.append(run_loadgen(System(session, pixels, batch), scenario, args.seconds, rate, bound,
                                  number // 2))

    def pronghorn(number):
        ours.append(run_ours(args.program, model, pixels.shape[1], scenario, seconds, args.threads,
                             batch, theirs[number // 2 * 2].get("arrivals")))
    for number in range(args.rounds):
        for turn in (loadgen, pronghorn) if number % 2 == 0 else (pronghorn, loadgen):
            turn(number)
    same = list(theirs)
    if scenario == "Server":  # verdicts over and under the bound
        same += [run_loadgen(System(session, pixels, batch), scenario, args.seconds,
                             rate * part / SERVER_RATE, bound) for part in VERDICT_RATES]
    row = {"scenario": scenario, "width": pixels.shape[1], "rate": rate, "rounds": args.rounds,
           "verdicts": [[t["verdict"], o["verdict"]] for t, o in zip(theirs, ours)],
           "same_queries": same_queries(scenario, same),
           "in_turn": [in_turn(m, theirs, ours, args.require or 0.03) for m in METRICS[scenario]]}
    if scenario == "Server":
        row |= {"latency_bound_ms": 1e3 * bound,
                "largest_lateness_ms": [t["largest_lateness_ms"] for t in same]}
    return row, ours[0]["machine"]


def timed(session, pixels):
    start = time.perf_counter()
    session.run(pixels)
    return time.perf_counter() - start


def show(row):
    print(f"{row['scenario']} ({row['width']} pixels wide)")
    for metric, ratios in row["same_queries"].items():
        if metric == "verdicts":
            print(f"  same queries  verdict on {row['latency_bound_ms']:.1f} ms: "
                  f"{sum(a == b for a, b in ratios)} of {len(ratios)} the same")
        else:
            print(f"  same queries  {metric}: {min(ratios):.4f} to {max(ratios):.4f}")
    for entry in row["in_turn"]:
        low, high = entry["interval_95"]
        print(f"  in turn       {entry['metric']}: LoadGen {statistics.median(entry['loadgen']):.3f}, "
              f"pronghorn bench {statistics.median(entry['pronghorn']):.3f}, ratio "
              f"{entry['ratio']:.4f} ({low:.4f} to {high:.4f}), {entry['outcome']}; own runs differ by "
              f"{100 * entry['loadgen_runs_differ']:.1f} and "
              f"{100 * entry['pronghorn_runs_differ']:.1f} %", flush=True)


def problems(rows, limit):
    for row in rows:
        for metric, ratios in row["same_queries"].items():
            if metric == "verdicts":
                if any(a != b for a, b in ratios):
                    yield f"{row['scenario']}: another verdict on the same queries"
            elif max(abs(r - 1) for r in ratios) > limit:
                yield (f"{row['scenario']}, {metric}: the same queries give figures that differ by "
                       f"{100 * max(abs(r - 1) for r in ratios):.1f} %")
        for entry in row["in_turn"]:
            if entry["outcome"] == "differ":
                yield (f"{row['scenario']}, {entry['metric']}: runs in turn differ by "
                       f"{100 * abs(entry['ratio'] - 1):.1f} %")


def loadgen_rules(scenario):
    """What LoadGen has for resnet50, in a process of its own: it reads its file once in a process."""
    code = ("import json, sys, tempfile, mlperf_loadgen as lg\n"
            "s = lg.TestSettings(); s.scenario = getattr(lg.TestScenario, sys.argv[1])\n"
            "with tempfile.NamedTemporaryFile() as empty:\n"
            "    assert s.FromConfig(empty.name, 'resnet50', sys.argv[1], 1) == 0\n"
            "print(json.dumps({'min_seconds': s.min_duration_ms / 1000, 'min_queries': "
            "s.min_query_count, 'samples_per_query': s.multi_stream_samples_per_query, "
            "'latency_bound_ms': s.server_target_latency_ns / 1e6, 'quantile': {"
            "'SingleStream': s.single_stream_target_latency_percentile, 'MultiStream': "
            "s.multi_stream_target_latency_percentile}.get(sys.argv[1], "
            "s.server_target_latency_percentile)}))")
    return json.loads(subprocess.run([sys.executable, "-c", code, scenario], check=True,
                                     capture_output=True, text=True).stdout)


def check_rules(path):
    entries = [e for e in json.loads(path.read_text()).get("scenarios", []) if e["official"]]
    if not entries:
        sys.exit(f"{path}: no scenario of an --official run is in it")
    different = []
    for entry in entries:
        scenario, ours, wrong = entry["scenario"], entry["settings"], []
        theirs = loadgen_rules(scenario)
        least = theirs.pop("min_queries")
        if scenario == "Server":
            least = max(least, 662)  # then early stopping: the fewest queries that can bound a p99
        if scenario != "MultiStream":
            theirs["samples_per_query"] = 1
        if scenario != "Server":
            del theirs["latency_bound_ms"]
        if scenario == "Offline":
            del theirs["quantile"], theirs["samples_per_query"]
            if ours["min_samples"] < least:
                wrong.append(f"min_samples {ours['min_samples']}, LoadGen {least} or more")
        elif ours["min_queries"] != least:
            wrong.append(f"min_queries {ours['min_queries']}, LoadGen {least}")
        wrong += [f"{key} {ours[key]}, LoadGen {value}" for key, value in theirs.items()
                  if not math.isclose(ours[key], value)]
        print(f"{scenario}: {'; '.join(wrong) or 'LoadGen has the same'}")
        different += wrong
    if different:
        sys.exit("the official settings are not LoadGen's")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, nargs="?",
                        help="ONNX QDQ file with a u8 NHWC input")
    parser.add_argument("--classes", type=int)
    parser.add_argument("--width", type=int, default=224, help="of the model's images")
    parser.add_argument("--multistream-width", type=int, default=64,
                        help="of MultiStream's and ServerPeak's: 662 queries of 8, and of 1, are asked")
    parser.add_argument("--program", default=str(ROOT / "build" / "pronghorn"))
    parser.add_argument("--library", default=str(ROOT / "build" / "libpronghorn.so"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=8, help="of Offline")
    parser.add_argument("--seconds", type=float, default=4, help="of each run, at least")
    parser.add_argument("--rounds", type=int, default=6, help="pairs of runs")
    parser.add_argument("--scenario", default="SingleStream,MultiStream,Server,Offline",
                        help="also ServerPeak")
    parser.add_argument("--require", type=float, help="largest distance of a ratio from 1")
    parser.add_argument("--rules", type=pathlib.Path, help="JSON of an --official run; nothing is timed")
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    if args.rules:
        return check_rules(args.rules)
    if args.model is None or args.classes is None:
        parser.error("a model and --classes are needed")

    rows, machine = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for scenario in args.scenario.split(","):
            small = scenario in ("MultiStream", "ServerPeak")
            width = args.multistream_width if small else args.width
            model = args.model if width == args.width else smaller(args.model, width, folder)
            session = pronghorn_abi.Session(args.library, model, args.classes, "cpu", args.threads)
            pixels = np.random.default_rng(1).integers(0, 256, (SAMPLES, width, width, 3),
                                                       dtype=np.uint8)
            row, machine = (compare_peaks(args, model, session, pixels) if scenario == "ServerPeak" else
                            compare(args, scenario, model, session, pixels))
            rows.append(row)
            show(row)
    wrong = list(problems(rows, args.require)) if args.require is not None else []
    if args.out:
        report = {"schema": "pronghorn-loadgen-2", "machine": machine, "rows": rows,
                  "limit": args.require, "problems": wrong,
                  "command": " ".join(["bench/peers/loadgen.py"] + sys.argv[1:])}
        temporary = args.out.with_name(args.out.name + ".part")
        temporary.write_text(json.dumps(report, indent=1) + "\n")
        temporary.replace(args.out)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
