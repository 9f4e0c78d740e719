# SPDX-License-Identifier: Apache-2.0
"""`python -m pronghorn program.py`: runs a Python program, accelerated where that is possible."""

from __future__ import annotations

import argparse
import builtins
import io
import os
import runpy
import sys
import types

from . import __version__, errors, hook
from .hook.policy import FALLBACKS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pronghorn",
        description="Runs a Python program unchanged; the models that it uses run on Pronghorn where "
        "that is possible and where the answers agree.",
        epilog="Each option can also be given in the environment (PRONGHORN_FALLBACK and so on).")
    parser.add_argument("-V", "--version", action="version", version=f"pronghorn {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", default=None,
                        help="print at the end what ran where, and why not")
    parser.add_argument("--profile", action="store_true", default=None,
                        help="also print each call as it happens, and the time of each node")
    parser.add_argument("--report", metavar="FILE", dest="report_file", help="the report as JSON")
    parser.add_argument("--fallback", choices=FALLBACKS,
                        help="what stays on the original: allow (the default), warn or forbid")
    parser.add_argument("--frameworks", metavar="LIST", help="only these, with commas between them")
    parser.add_argument("--calibration", metavar="PATH",
                        help="a .npy of tensors as the model takes them, or a folder of photographs; "
                        "default: the first rows that flow through")
    parser.add_argument("--calibration-rows", type=int, metavar="N")
    parser.add_argument("--min-agreement", type=float, metavar="FRACTION")
    parser.add_argument("--min-speedup", type=float, metavar="FACTOR")
    parser.add_argument("--no-keep", dest="keep", action="store_false", default=None,
                        help="do not keep quantized models for the next run")
    parser.add_argument("--device", metavar="NAME")
    parser.add_argument("--threads", type=int, metavar="N")
    parser.add_argument("-m", dest="module", action="store_true",
                        help="PROGRAM is the name of a module, as in python -m")
    parser.add_argument("program", help="a Python file, or - for standard input")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="go to the program")
    return parser


def _run_file(path: str) -> None:
    """As `python path` does: the program stays `__main__` to the end, for pickles and threads."""
    if path == "-":
        name, source = "<stdin>", sys.stdin.buffer.read()
    else:
        name = path
        with io.open_code(os.path.abspath(path)) as file:
            source = file.read()
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __file__=name, __spec__=None)
    if path == "-":
        del main.__dict__["__file__"]
    sys.path[0] = "" if path == "-" else os.path.dirname(os.path.realpath(path))
    sys.modules["__main__"] = main
    exec(compile(source, name, "exec"), main.__dict__)


def main() -> None:
    # -m ends our own options and the module's name is what follows, as for python itself.
    given = vars(_parser().parse_args())
    program, arguments = given.pop("program"), given.pop("arguments")
    as_module = given.pop("module")
    if not as_module and program != "-" and not os.path.isfile(program):
        sys.exit(f"python -m pronghorn: {program}: there is no such file; a Python program is accepted")
    try:
        hook.install(**{name: value for name, value in given.items() if value is not None})
    except errors.Error as error:
        sys.exit(f"python -m pronghorn: {error}")
    hook.report_at_exit()
    sys.argv = [program, *arguments]
    if as_module:
        sys.path[0] = os.getcwd()
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        _run_file(program)


if __name__ == "__main__":
    main()
