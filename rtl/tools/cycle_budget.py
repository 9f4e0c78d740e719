#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The cycle budget of ResNet50 v1.5 at 224x224 by the formulas of docs/fpga.md, layer by layer.

  rtl/tools/cycle_budget.py [--config u250] [--batch 4] [--csv]

It is the design calculation: it knows the network and the formulas, not the compiler, which the C++
cycle model (src/device/fpga) follows command by command.
"""
import argparse
from pathlib import Path
import tomllib

CONFIGS = Path(__file__).parent.parent / "configs.toml"


def up(a, b):
    return -(-a // b)


def network():
    """(name, kind, height and width of the result, ic, oc, taps, stride, planes) of each layer."""
    yield "conv1", "stem", 112, 21, 64, 7, 2, True
    yield "pool1", "pool", 56, 64, 64, 9, 2, False
    channels = 64
    for stage, (blocks, width, size) in enumerate(((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)), 2):
        for block in range(blocks):
            first = block == 0
            stride = 2 if first and stage > 2 else 1
            last = block == blocks - 1 and stage < 5
            name = f"stage{stage}.{block}"
            if first:
                yield f"{name}.down", "conv", size, channels, 4 * width, 1, stride, False
            yield f"{name}.conv1", "conv", size * stride, channels, width, 1, 1, False
            yield f"{name}.conv2", "conv", size, width, width, 9, stride, False
            yield f"{name}.conv3", "conv", size, width, 4 * width, 1, 1, last
            channels = 4 * width
    yield "average", "average", 7, 2048, 2048, 1, 1, False
    yield "classifier", "logits", 1, 2048, 1000, 1, 1, False


def segments(first, count, width):
    """Rows of an image that `count` pixels from flat index `first` touch."""
    return up(first % width + count, width)


def budget(c, latency, batch):
    rows = []
    oc, ic, px = c["oc"], c["ic"], c["px"]
    groups_per_tile = oc // ic
    for name, kind, size, ci, co, taps, stride, planes in network():
        pixels = size * size
        tiles = up(pixels * batch, px)
        macs = batch * pixels * co * ci * taps
        if kind == "stem":
            macs = batch * pixels * co * 147
            bands = 4
            cycles = batch * bands * up(pixels // bands, px) * max(
                taps * up(ci, ic) * up(co, oc), up(co, ic) * 2)
        elif kind == "pool":
            macs = 0
            cycles = batch * up(pixels, px) * up(co, ic) * taps + latency["maxpool"]
        elif kind == "average":
            macs = 0
            cycles = batch * up(ci, ic) * up(pixels, px) + latency["average"]
        elif kind == "logits":
            last = groups_per_tile * 4 * min(batch, px)
            cycles = tiles * up(co, oc) * max(up(ci, ic), last) + latency["logits"] + last
        else:
            steps = taps * up(ci, ic)
            cycles = 0
            for tile in range(tiles):
                count = min(px, pixels * batch - tile * px)
                passes = segments(tile * px, count, size) if planes else 1
                cycles += up(co, oc) * max(steps, groups_per_tile * passes)
            # A stride or a scattered source: the tail of the layer before is not hidden.
            if stride == 2 or planes:
                cycles += latency["conv"]
        cycles += latency["command"]
        rows.append((name, macs, cycles))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="u250")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--csv", action="store_true")
    arguments = parser.parse_args()
    document = tomllib.loads(CONFIGS.read_text())
    c = document["config"][arguments.config]
    per_cycle = c["oc"] * c["ic"] * c["px"]
    rows = budget(c, document["latency"], arguments.batch)
    head = ("layer", "MMAC", "cycles", "busy")
    print(",".join(head) if arguments.csv else f"{head[0]:18}{head[1]:>10}{head[2]:>10}{head[3]:>8}")
    for name, macs, cycles in rows:
        busy = macs / (cycles * per_cycle)
        if arguments.csv:
            print(f"{name},{macs / 1e6:.1f},{cycles},{busy:.4f}")
        else:
            print(f"{name:18}{macs / 1e6:10.1f}{cycles:10d}{busy:8.1%}")
    total = sum(r[2] for r in rows)
    hz = c["logic_mhz"] * 1e6
    print(f"# {arguments.config}, batch {arguments.batch}: {total} cycles, "
          f"{sum(r[1] for r in rows) / (total * per_cycle):.1%} of the multipliers busy; modelled at "
          f"{c['logic_mhz']} MHz logic, {2 * c['logic_mhz']} MHz multipliers: "
          f"{arguments.batch * hz / total:.0f} images/s, {total / hz * 1e3:.3f} ms a batch")


if __name__ == "__main__":
    main()
