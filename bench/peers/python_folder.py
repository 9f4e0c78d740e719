#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""JPEG folder to predictions: pronghorn.classify in Python against the program's own bench.

  bench/peers/python_folder.py build/pronghorn PHOTOGRAPHS --json bench/results/python_folder.json

Turn by turn on the same photographs, again and again until there are --images of them; the same batch
size, every core, the same seconds. The figure of a round is the fastest pass of each; the quotient is the
median of the rounds'. Before anything is timed, classes are
compared with those of single images that are decoded and run one by one.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

import pronghorn


def bench(program: str, photographs: str, batch: int, seconds: float) -> float:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        subprocess.run([program, "bench", "--batch", str(batch), "--seconds", str(seconds), "--images",
                        photographs, "--json", file.name], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        with open(file.name, encoding="utf-8") as written:
            results = json.load(written)["results"]
        return next(r["images_per_second_best"] for r in results if r["kind"] == "real")


def classify(session: pronghorn.Session, source: pronghorn.Source, batch: int, seconds: float) -> float:
    best, end = 0.0, time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        count = sum(1 for _ in session.classify(source, batch=batch))
        best = max(best, count / (time.perf_counter() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("photographs")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    arguments = parser.parse_args()

    session = pronghorn.Session("tin200")
    photographs = pronghorn.Source(arguments.photographs)
    few = list(session.classify(photographs, batch=arguments.batch))
    alone = [int(session.run(photographs.pixels(i)).argmax()) for i in range(0, len(photographs), 20)]
    if [result.top[0].index for result in few[::20]] != alone:
        raise SystemExit("classify and run give different classes, nothing is timed")
    source = photographs.repeat(arguments.images)
    rounds: dict = {"program": [], "package": []}
    for _ in range(arguments.rounds):
        rounds["program"].append(bench(arguments.program, arguments.photographs, arguments.batch, 5))
        rounds["package"].append(classify(session, source, arguments.batch, 5))
    middle = {name: statistics.median(rates) for name, rates in rounds.items()}
    device = session.device
    report = {"schema": "pronghorn-python-folder-2", "device": device.description, "isa": device.isa,
              "load_average": os.getloadavg()[0], "batch": arguments.batch, "images": arguments.images,
              "images_per_second": middle, "every_round": rounds,
              "package_of_program": statistics.median(
                  a / b for a, b in zip(rounds["package"], rounds["program"]))}
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
