# SPDX-License-Identifier: Apache-2.0
"""Writes the results table of README.md from the JSON files in bench/results.

Reads what `pronghorn bench --json` wrote (a list `results` with `kind` real or device), what
`pronghorn eval --json` wrote (`top1`), and what bench/peers/compare.py wrote (`results` with
`system`). The table stands between the marks results:begin and results:end.

    python3 bench/make_table.py            rewrite README.md
    python3 bench/make_table.py --check    exit 1 when README.md does not show these results
"""
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def host(machine):
    l2 = machine.get("l2_bytes", 0)
    return f"{machine['cpu']}, {machine['cores']} cores" + (f", L2 {l2 // 1024} KiB" if l2 else "")


def bench_rows(report, name):
    rows = []
    device = report["device"]
    for result in report["results"]:
        latency = result["latency_ms"]
        rows.append([
            host(report["machine"]), f"{result['device']} ({device['isa']}), "
            f"{device['threads']} threads", result["kind"], str(result["batch"]),
            f"{result['images_per_second']:.1f}",
            f"{latency['p50']:.1f} / {latency['p99']:.1f}",
            report.get("stability", {}).get("verdict", ""), name])
    return rows


def peer_rows(report, name):
    rows = []
    for result in report["results"]:
        ratio = result.get("pronghorn_ratio") or result.get("ratio_to_best_peer")
        top1 = result.get("top1")
        rows.append([
            host(report["machine"]), str(result["threads"]), str(result["batch"]),
            f"{result['system']} {result['version'].split('-')[0]}", result.get("precision", "int8"),
            f"{result['images_per_second']:.1f} / {result['images_per_second_best']:.1f}",
            f"{ratio:.2f}" if ratio else "", f"{100 * top1:.2f} %" if top1 is not None else "",
            name])
    return rows


def accuracy_row(report, name):
    agreement = report.get("agreement")
    return [report["model"]["name"] or report["model"]["file"],
            "INT8" if report["model"]["quantized"] else "float32", str(report["images"]),
            f"{100 * report['top1']:.2f} %", f"{100 * report['top5']:.2f} %",
            f"{100 * agreement:.2f} %" if agreement is not None else "", name]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def collect(folder):
    speed, peers, accuracy = [], [], []
    for path in sorted(folder.glob("*.json")):
        report = json.loads(path.read_text())
        if str(report.get("schema")).startswith("pronghorn-"):
            continue  # comparisons that their own pages in docs/ show
        if report.get("schema") != 1:
            sys.exit(f"{path}: schema {report.get('schema')}, this script reads 1")
        link = f"[{path.name}](bench/results/{path.name})"
        if "top1" in report:
            accuracy.append(accuracy_row(report, link))
        elif report.get("results") and "system" in report["results"][0]:
            peers += peer_rows(report, link)
        elif report.get("results") and "images_per_second" in report["results"][0]:
            speed += bench_rows(report, link)
        if report.get("peers"):
            peers += peer_rows({"machine": report["machine"], **report["peers"]}, link)
    parts = []
    if speed:
        parts.append(table(["machine", "device", "kind", "batch", "images/s",
                            "latency of a batch, ms, p50 / p99", "verdict", "file"], speed))
    if peers:
        parts.append("The same network, device throughput, alternating rounds in one process. The "
                     "ratio is Pronghorn's INT8 rate to the row's (in its own row of older files: to "
                     "the faster peer's):\n\n" +
                     table(["machine", "threads", "batch", "system", "precision",
                            "images/s, median / best", "Pronghorn's ratio", "top-1", "file"],
                           peers))
    if accuracy:
        parts.append(table(["model", "precision", "labelled images", "top-1", "top-5",
                            "same first guess as float", "file"], accuracy))
    return "\n\n".join(parts)


def main():
    readme = ROOT / "README.md"
    text = readme.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"README.md has no {BEGIN} ... {END}")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    body = collect(ROOT / "bench" / "results")
    made = before + BEGIN + "\n" + (body + "\n" if body else "") + END + after
    if "--check" in sys.argv[1:]:
        sys.exit(0 if made == text else "README.md: the table is not that of bench/results; "
                                        "run make results")
    if made != text:
        readme.write_text(made)


if __name__ == "__main__":
    main()
