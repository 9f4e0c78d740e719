#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Logistic regression, k-means and Gaussian naive Bayes of pronghorn.sklearn, scikit-learn and
scikit-learn-intelex (where it is installed), in one process, turn by turn, on the same arrays.

  bench/peers/ml_compare.py --task kmeans --set blobs-64 --dtype float32 --json results.json

Before anything is timed the answers are compared (`verified` in the JSON), and a system that is not
as good as the bar says is not timed:
  logreg       each system gets the loosest tol of a list whose objective is within 1e-6 of the
               least one, found by Newton's method to a gradient of 1e-9; with --limit no system
               searches much longer than that, and `not_reached_in_seconds` says so
  kmeans       labels equal to scikit-learn's in float64 from the same centres, after the same
               iterations; in float32, in no more rows unlike them than scikit-learn's are (another
               peer: in a thousandth)
  gaussian_nb  means and variances within 1e-12 in float64, 1e-4 in float32; the same labels
Times are of whole calls of fit and predict. JSON of several runs goes into one file, an entry a run.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import ml_data
import numpy as np
import sklearn
from sklearn import cluster, linear_model, naive_bayes

TOLS = [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8]
OBJECTIVE = 1e-6  # relative, above the least one
ISAS = []  # further sets of instructions that pronghorn is timed with
OURS = None  # pronghorn.sklearn, or pronghorn_ml over a library
CPU = ("", "", 1)  # description, instruction set, cores


def systems(name: str) -> dict:
    """The class of this name in each system."""
    stock = {"LogisticRegression": linear_model, "KMeans": cluster, "GaussianNB": naive_bayes}
    found = {"pronghorn": getattr(OURS, name),
             **{f"pronghorn {isa}": forced(getattr(OURS, name), isa) for isa in ISAS},
             "scikit-learn": getattr(stock[name], name)}
    try:
        if name == "LogisticRegression":
            from sklearnex.linear_model import LogisticRegression as theirs
        elif name == "KMeans":
            from sklearnex.cluster import KMeans as theirs
        else:
            return found  # it has none
        found["scikit-learn-intelex"] = theirs
    except ImportError:
        pass
    try:  # where RAPIDS is installed; arrays go from and to host memory
        import cuml
        module = cuml.linear_model if name == "LogisticRegression" else cuml.cluster
        found["cuml"] = getattr(module, name)
    except (ImportError, RuntimeError):
        pass
    return found


def forced(kind, isa: str):
    """The class, computing with this set of instructions: PRONGHORN_ISA is read in every call."""
    def within(method):
        def call(*args, **more):
            os.environ["PRONGHORN_ISA"] = isa
            try:
                return method(*args, **more)
            finally:
                del os.environ["PRONGHORN_ISA"]
        return call

    def make(**settings):
        model = kind(**settings)
        for name in ("fit", "predict", "predict_proba"):
            if hasattr(model, name):
                setattr(model, name, within(getattr(model, name)))
        return model
    return make


def use(library: str, threads: int) -> str:
    """Takes pronghorn from the Python package, or from a shared library; its version."""
    global OURS, CPU
    if library:
        import pronghorn_ml
        pronghorn_ml.load(library, threads)
        OURS, CPU = pronghorn_ml, pronghorn_ml.cpu()
        CPU = (*CPU[:2], threads or CPU[2])
        return pronghorn_ml.version()
    import pronghorn
    import pronghorn.sklearn
    device = next(d for d in pronghorn.devices() if d.name == "cpu")
    OURS, CPU = pronghorn.sklearn, (device.description, device.isa, pronghorn.available_cores())
    return pronghorn.__version__


def seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def turns(calls: dict, rounds: int, budget: float, known: dict | None = None) -> dict:
    """All of them in turn, until the rounds are done or the time is; at least twice, `known` times
    of each included."""
    times: dict = {name: list((known or {}).get(name, [])) for name in calls}
    start = time.perf_counter()
    for i in range(rounds):
        if i >= (1 if known else 2) and time.perf_counter() - start > budget:
            break
        for name, call in calls.items():
            times[name].append(seconds(call))
    return times


def summary(times: dict, work: float = 0) -> dict:
    """Medians and minima; how many times as fast as each peer; `work` a second."""
    result = {}
    for name, values in times.items():
        result[name] = {"seconds_median": statistics.median(values), "seconds_min": min(values),
                        "seconds": values}
        if work:
            result[name]["per_second"] = work / min(values)
    own = [name for name in result if name.startswith("pronghorn")]
    for name in result:
        for ours in own if name not in own else ():
            result[name][ours.replace(" ", "_") + "_times_as_fast"] = {
                kind: result[name][kind] / result[ours][kind]
                for kind in ("seconds_median", "seconds_min")}
    return result


def bandwidth(x: np.ndarray, threads: int) -> float:
    """Bytes a second that threads read of x: dot products of its parts with themselves, the best of
    some."""
    parts = np.array_split(x.reshape(-1), threads)
    with ThreadPoolExecutor(threads) as pool:
        def read():
            list(pool.map(lambda part: np.dot(part, part), parts))
        read()
        return x.nbytes / min(seconds(read) for _ in range(7))


# ---- logistic regression


def objective(model, x, y) -> float:
    """scikit-learn's objective over the number of rows, in double."""
    coef = np.asarray(model.coef_, np.float64)
    intercept = np.asarray(model.intercept_, np.float64)
    codes = np.searchsorted(model.classes_, y)
    total = 0.0
    for start in range(0, len(x), 20_000):
        z = np.asarray(x[start:start + 20_000], np.float64) @ coef.T + intercept
        code = codes[start:start + 20_000]
        if z.shape[1] == 1:
            z = np.hstack([np.zeros_like(z), z])
        top = z.max(axis=1)
        total += (np.log(np.exp(z - top[:, None]).sum(axis=1)) + top
                  - z[np.arange(len(z)), code]).sum()
    return (total + (coef**2).sum() / 2) / len(x)


def logreg(x, y, options, report) -> dict:
    classes = systems("LogisticRegression")
    least = objective(classes["pronghorn"](solver="newton-cg", tol=1e-8, max_iter=200)
                      .fit(np.asarray(x, np.float64), y), x, y)
    report["least_objective"] = least
    chosen, found, known = {}, {}, {}
    for name, kind in classes.items():
        spent, most = 0.0, 1000
        for tol in [tol for tol in TOLS if tol <= options.tol_from]:
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = kind(tol=tol, max_iter=most).fit(x, y)
            known[name] = [time.perf_counter() - start]
            above = objective(model, x, y) / least - 1
            n_iter = int(model.n_iter_[0])
            found[name] = {"tol": tol, "above_least": above, "n_iter": n_iter,
                           "accuracy": float(model.score(x[:50_000], y[:50_000]))}
            if above <= OBJECTIVE:
                chosen[name] = lambda kind=kind, tol=tol, most=most: (
                    kind(tol=tol, max_iter=most).fit(x, y))
                break
            # The next tolerance gets the iterations that the time left is good for.
            spent += known[name][0]
            if options.limit:
                left = options.limit - spent
                most = min(most, int(left / known[name][0] * max(n_iter, 1)))
                if most <= n_iter:
                    found[name]["not_reached_in_seconds"] = spent
                    break
    report["verified"] = {"objective_within": OBJECTIVE, "systems": found}
    report["not_as_good"] = [name for name in classes if name not in chosen]
    report["fit"] = summary(turns(chosen, options.rounds, options.budget, known))
    for name in chosen:
        entry = report["fit"][name]
        entry["seconds_of_iteration"] = entry["seconds_min"] / max(found[name]["n_iter"], 1)
    if options.brief:
        return report
    default = {name: (lambda kind=kind: kind().fit(x, y)) for name, kind in classes.items()}
    report["fit_by_default"] = summary(turns(default, options.rounds, options.budget / 2))
    fitted = {name: kind().fit(x, y) for name, kind in classes.items()}
    calls = {name: (lambda m=m: m.predict(x)) for name, m in fitted.items()}
    report["predict"] = summary(turns(calls, options.rounds, options.budget / 4), len(x))
    return report


# ---- k-means


def kmeans(x, y, options, report) -> dict:
    classes = systems("KMeans")
    clusters = options.clusters
    start = x[np.random.RandomState(2).choice(len(x), clusters, replace=False)].copy()

    def fit(kind, **more):
        settings = {"n_clusters": clusters, "init": start, "n_init": 1, **more}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return kind(**settings).fit(x)

    report["clusters"] = clusters
    same, chosen = {}, {}
    fixed = {"max_iter": options.iterations, "tol": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exact = classes["scikit-learn"](n_clusters=clusters, init=start.astype(np.float64), n_init=1,
                                        **fixed).fit(x.astype(np.float64, copy=False)).labels_
    for name, kind in classes.items():
        model = fit(kind, **fixed)
        same[name] = {"labels_unlike_float64": int((model.labels_ != exact).sum()),
                      "inertia": float(model.inertia_), "n_iter": int(model.n_iter_),
                      "predict_equal": float((model.predict(x) == model.labels_).mean())}
    # Rounding decides rows that lie between two centres, and in float32 scikit-learn's own labels
    # change with its number of threads (kmeans_labels.py).
    most = same["scikit-learn"]["labels_unlike_float64"]
    for name, kind in classes.items():
        ours = name.startswith("pronghorn")
        if same[name]["labels_unlike_float64"] <= max(most, 0 if ours else len(x) // 1000):
            chosen[name] = kind
    report["verified"] = {"after_iterations": options.iterations, "systems": same}
    report["not_as_good"] = [name for name in classes if name not in chosen]
    calls = {name: (lambda kind=kind: fit(kind, **fixed)) for name, kind in chosen.items()}
    report["fit"] = summary(turns(calls, options.rounds, options.budget))
    for name in chosen:
        entry = report["fit"][name]
        entry["seconds_of_iteration"] = entry["seconds_min"] / max(same[name]["n_iter"], 1)
    whole = {name: fit(kind, **(fixed if options.brief else {"max_iter": 300}))
             for name, kind in chosen.items()}
    if not options.brief:
        report["converged"] = {
            name: {"n_iter": int(m.n_iter_), "inertia": float(m.inertia_),
                   "labels_equal": float((m.labels_ == whole["scikit-learn"].labels_).mean())}
            for name, m in whole.items()}
        calls = {name: (lambda kind=kind: fit(kind, max_iter=300)) for name, kind in chosen.items()}
        report["fit_to_convergence"] = summary(turns(calls, options.rounds, options.budget))
    calls = {name: (lambda m=m: m.predict(x)) for name, m in whole.items()}
    report["predict"] = summary(turns(calls, 2 * options.rounds, options.budget / 4), len(x))
    if options.plusplus:
        calls = {name: (lambda kind=kind: fit(kind, init="k-means++", max_iter=1, random_state=0))
                 for name, kind in chosen.items()}
        report["plusplus_and_one_iteration"] = summary(turns(calls, 2, options.budget))
    return report


# ---- Gaussian naive Bayes


def gaussian_nb(x, y, options, report) -> dict:
    classes = systems("GaussianNB")
    models = {name: kind().fit(x, y) for name, kind in classes.items()}
    mine, stock = models["pronghorn"], models["scikit-learn"]

    def apart(name):
        a, b = (np.asarray(getattr(m, name), np.float64) for m in (mine, stock))
        scale = np.maximum(np.abs(b), np.sqrt(np.asarray(stock.var_, np.float64))
                           if name == "theta_" else 0)
        return float((np.abs(a - b) / scale).max())

    seen = x[:200_000]
    verified = {"theta": apart("theta_"), "var": apart("var_"),
                "labels_equal": float((mine.predict(seen) == stock.predict(seen)).mean()),
                "limit": 1e-12 if x.dtype == np.float64 else 1e-4}
    report["verified"] = verified
    if max(verified["theta"], verified["var"]) > verified["limit"] or verified["labels_equal"] < 0.9999:
        report["not_as_good"] = ["pronghorn"]
        return report
    report["read_bytes_per_second"] = bandwidth(x, CPU[2])
    calls = {name: (lambda kind=kind: kind().fit(x, y)) for name, kind in classes.items()}
    report["fit"] = summary(turns(calls, 2 * options.rounds, options.budget), len(x))
    report["read_bytes_per_second"] = max(report["read_bytes_per_second"],
                                          bandwidth(x, CPU[2]))
    share = {name: x.nbytes / entry["seconds_min"] / report["read_bytes_per_second"]
             for name, entry in report["fit"].items()}
    report["fit_of_bandwidth"], report["fit_of_bandwidth_of"] = share["pronghorn"], share
    for call in ("predict", "predict_proba"):
        calls = {name: (lambda m=m, call=call: getattr(m, call)(seen))
                 for name, m in models.items()}
        report[call] = summary(turns(calls, 2 * options.rounds, options.budget), len(seen))
    return report


TASKS = {"logreg": (logreg, "LogisticRegression", "classification-128"),
         "kmeans": (kmeans, "KMeans", "blobs-64"),
         "gaussian_nb": (gaussian_nb, "GaussianNB", "blobs-64-classes-16")}


# ---- memory


def fit_alone(task: str, system: str, name: str, dtype: str, rows: int, clusters: int) -> None:
    """In a process of its own: prints by how much the peak grew in fit, as a fraction of X."""
    x, y = ml_data.make(name, dtype, rows)
    kind = systems(TASKS[task][1])[system]
    options = {"n_clusters": clusters, "init": x[:clusters].copy(), "max_iter": 2} if (
        task == "kmeans") else {}
    if task == "logreg":
        options["max_iter"] = 3
    warnings.simplefilter("ignore")
    kind(**options).fit(x[:2000], y[:2000])  # what is loaded on first use
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # the peak starts at what is held now
    before = resident("VmRSS")
    kind(**options).fit(x, y)
    print(json.dumps({"of_x": (resident("VmHWM") - before) / x.nbytes}))


def resident(what: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(what))


def memory(options) -> dict:
    """Peak memory above what was held, X included, before fit; fractions of X."""
    result = {}
    for system in systems(TASKS[options.task][1]):
        command = [sys.executable, os.path.abspath(__file__), "--fit-alone", system, "--task",
                   options.task, "--set", options.set, "--dtype", options.dtype, "--rows",
                   str(options.rows), "--clusters", str(options.clusters),
                   "--library", options.library, "--threads", str(options.threads)]
        done = subprocess.run(command, capture_output=True, text=True)
        result[system] = json.loads(done.stdout)["of_x"] if done.returncode == 0 else None
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--task", required=True, choices=list(TASKS))
    parser.add_argument("--set", choices=ml_data.names())
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--clusters", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--plusplus", action="store_true", help="time the initialisation as well")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=15, help="seconds for each timing")
    parser.add_argument("--brief", action="store_true", help="only what the bars of fits are about")
    parser.add_argument("--limit", type=float, default=0,
                        help="seconds for a system's search of a tolerance; 0: none")
    parser.add_argument("--tol-from", type=float, default=TOLS[0], help="the loosest tol to try")
    parser.add_argument("--isas", default="", help="also pronghorn with these, e.g. avx2,portable")
    parser.add_argument("--memory", action="store_true", help="peak memory, in processes of their own")
    parser.add_argument("--library", default="", help="libpronghorn.so; default: the Python package")
    parser.add_argument("--threads", type=int, default=0, help="of the library; 0: every core")
    parser.add_argument("--json")
    parser.add_argument("--fit-alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.set = options.set or TASKS[options.task][2]
    version = use(options.library, options.threads)
    ISAS.extend(isa for isa in options.isas.split(",") if isa)
    if options.fit_alone:
        fit_alone(options.task, options.fit_alone, options.set, options.dtype, options.rows,
                  options.clusters)
        return 0
    x, y = ml_data.make(options.set, options.dtype, options.rows)
    report = {"schema": "pronghorn-ml-compare-1", "task": options.task, "set": options.set,
              "dtype": options.dtype, "rows": len(x), "columns": x.shape[1],
              "command": " ".join(["bench/peers/ml_compare.py", *sys.argv[1:]]),
              "device": CPU[0], "isa": CPU[1], "cores": CPU[2], "bytes_of_x": x.nbytes,
              "load_average": os.getloadavg()[0],
              "versions": {"python": platform.python_version(), "scikit-learn": sklearn.__version__,
                           "pronghorn": version, **_peers()}}
    report = TASKS[options.task][0](x, y, options, report)
    if options.memory:
        report["peak_memory_of_x"] = memory(options)
    report["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _print(report)
    if options.json:
        _store(report, options.json)
    if "pronghorn" in report.get("not_as_good", []):
        print("pronghorn is not as good as the bar says: not timed", file=sys.stderr)
        return 1
    return 0


def _peers() -> dict:
    from importlib.metadata import PackageNotFoundError, version
    found = {}
    for name in ("scikit-learn-intelex", "cuml-cu12", "cuml-cu13"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            pass
    return found


def _print(report: dict) -> None:
    print(f"{report['task']} {report['set']} {report['rows']} x {report['columns']} "
          f"{report['dtype']}, {report['cores']} cores {report['isa']}")
    print("  verified", json.dumps(report["verified"]))
    for key, entry in report.items():
        if not isinstance(entry, dict) or not all(
                isinstance(v, dict) and "seconds_min" in v for v in entry.values()) or not entry:
            continue
        for name, times in entry.items():
            factor = times.get("pronghorn_times_as_fast", {}).get("seconds_median")
            print(f"  {key:<28}{name:<22}{times['seconds_median']:>9.4f} s median "
                  f"{times['seconds_min']:>9.4f} s min"
                  + (f"   pronghorn {factor:.2f} times as fast" if factor else "")
                  + (f"   {times['seconds_of_iteration'] * 1e3:.1f} ms an iteration"
                     if "seconds_of_iteration" in times else ""))
    for key in ("fit_of_bandwidth", "read_bytes_per_second", "peak_memory_of_x", "not_as_good"):
        if report.get(key):
            print(f"  {key}: {report[key]}")


def _store(report: dict, path: str) -> None:
    entries = []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            entries = json.load(file)
    same = ("task", "set", "dtype", "rows", "isa", "cores")
    entries = [e for e in entries if any(e[key] != report[key] for key in same)]
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump([*entries, report], file, indent=1)
        file.write("\n")
    os.replace(path + ".part", path)


if __name__ == "__main__":
    sys.exit(main())
