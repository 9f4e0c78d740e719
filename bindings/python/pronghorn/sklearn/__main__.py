# SPDX-License-Identifier: Apache-2.0
"""python3 -m pronghorn.sklearn to-npy DATA.parquet DATA.npy: tables for the program `pronghorn`."""

import argparse
import sys

from .. import errors
from ._files import to_npy


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m pronghorn.sklearn")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("to-npy", help="a Parquet or Arrow file as .npy, piece by piece")
    command.add_argument("source")
    command.add_argument("target")
    command.add_argument("--columns", help="names between commas; default: all")
    command.add_argument("--dtype", choices=["float32", "float64", "auto"], default="float32",
                         help="auto: float64 where a column needs more than float32's digits")
    command.add_argument("--names", help="a JSON file for the columns' names")
    options = parser.parse_args()
    try:
        columns = options.columns.split(",") if options.columns else None
        dtype = None if options.dtype == "auto" else options.dtype
        rows, count = to_npy(options.source, options.target, dtype=dtype, columns=columns,
                             names=options.names)
    except errors.Error as error:
        print(f"pronghorn: {error}", file=sys.stderr)
        return 1
    print(f"{options.target}: {rows} x {count} {options.dtype}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
