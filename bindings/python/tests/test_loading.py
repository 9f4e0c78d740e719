# SPDX-License-Identifier: Apache-2.0
"""Processes in which somebody else's protobuf was there first, as TensorFlow's is."""

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest
from conftest import COLOURS

# Shows a function of protobuf to the whole process; who is led astray to it, ends.
STRANGER = """
#include <unistd.h>
int _ZN6google8protobuf11MessageLite14ParseFromArrayEPKvi(void) { _exit(41); }
"""
LOAD = "import pronghorn; print(pronghorn.Model({!r}).classes)".format(str(COLOURS))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    source = tmp_path_factory.mktemp("stranger") / "stranger.c"
    source.write_text(STRANGER)
    library = source.with_suffix(".so")
    subprocess.run([compiler, "-shared", "-fPIC", source, "-o", library], check=True)
    return str(library)


def python(program, **environment):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **environment})


def test_a_strangers_protobuf_is_not_called(stranger):
    if os.environ.get("LD_PRELOAD"):
        pytest.skip("LD_PRELOAD is set")
    done = python(f"import ctypes; ctypes.CDLL({stranger!r}, ctypes.RTLD_GLOBAL); {LOAD}")
    assert done.returncode == 0 and done.stdout == "4\n", done.stderr


def test_what_cannot_be_kept_apart_is_refused(stranger):
    done = python(f"import ctypes; ctypes.CDLL({stranger!r}, ctypes.RTLD_GLOBAL); {LOAD}",
                  LD_PRELOAD=os.environ.get("LD_PRELOAD") or stranger)
    assert done.returncode == 1 and "import pronghorn before" in done.stderr, done.stderr


@pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="no TensorFlow")
@pytest.mark.parametrize("environment", [{}, {"PRONGHORN": "1"}])
def test_tensorflow_first(environment):
    done = python(f"import tensorflow; {LOAD}", **environment)
    assert done.returncode == 0 and done.stdout == "4\n", done.stderr
