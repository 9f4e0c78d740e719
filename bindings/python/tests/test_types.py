# SPDX-License-Identifier: Apache-2.0
"""The package is typed: a program over it passes mypy --strict, and the stubs are those of the module."""

import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("mypy", reason="mypy is not installed")


def check(folder, module, *arguments):
    return subprocess.run([sys.executable, "-m", module, *arguments], cwd=folder, capture_output=True,
                          text=True, timeout=900)


def test_a_program_over_the_package(tmp_path):
    client = pathlib.Path(__file__).with_name("typed_client.py")
    done = check(tmp_path, "mypy", "--strict", str(client))
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import pronghorn\npronghorn.Session(3, threads='two').run()\n", encoding="utf-8")
    done = check(tmp_path, "mypy", "--strict", str(wrong))
    assert done.returncode == 1 and done.stdout.count("wrong.py:2: error:") == 3, done.stdout


def test_stubs_of_the_native_module(tmp_path):
    done = check(tmp_path, "mypy.stubtest", "--concise", "pronghorn._native")
    # nanobind's classes and functions are objects of its own, which stubtest takes for neither: of what
    # it says only names that one side lacks count.
    wrong = [line for line in done.stdout.splitlines() if "is not present" in line]
    assert not wrong and "_native.devices" in done.stdout, done.stdout + done.stderr
