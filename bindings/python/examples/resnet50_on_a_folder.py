#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names the photographs of a folder with a ResNet50, best guesses first.

  resnet50_on_a_folder.py PHOTOGRAPHS [--model tin200 | FILE] [--top 3]
"""

import argparse

import pronghorn


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", help="a folder, a .tar or one file")
    parser.add_argument("--model", default="tin200", help="tin200 (inside the library) or a model file")
    parser.add_argument("--top", type=int, default=3)
    given = parser.parse_args(arguments)

    with pronghorn.Session(given.model) as session:
        results = session.classify(given.photographs, top=given.top)
        for result in results:
            if result.error:
                print(f"{result.name}: skipped: {result.error}")
                continue
            guesses = ", ".join(
                f"{p.label or p.index} {100 * p.probability:.1f} %" for p in result.top)
            print(f"{result.name}: {guesses}")
        stats = results.stats
        print(f"{stats['images']} images in {stats['wall_seconds']:.2f} s on {session.device}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
