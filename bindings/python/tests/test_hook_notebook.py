# SPDX-License-Identifier: Apache-2.0
"""%load_ext pronghorn in IPython: the hook, its magic, and the way back."""

import os

import numpy as np
import pytest

from pronghorn import hook

pytest.importorskip("keras")
interactive = pytest.importorskip("IPython.core.interactiveshell")
Config = pytest.importorskip("traitlets.config").Config

MODEL = """
import keras, numpy as np
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.Conv2D(8, 3, activation="relu"),
                          keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4)])
x = np.random.default_rng(5).normal(size=(96, 12, 12, 3)).astype(np.float32)
"""


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("PRONGHORN_CACHE", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    hook.clear_report()
    config = Config()
    config.HistoryManager.enabled = False
    shell = interactive.InteractiveShell.instance(config=config)

    def run(cell):
        result = shell.run_cell(cell)
        result.raise_error()
        return result.result

    yield run
    hook.uninstall()
    interactive.InteractiveShell.clear_instance()


def test_load_use_report_and_unload(shell, capsys):
    shell("%load_ext pronghorn")
    assert hook.installed() and os.environ["PRONGHORN"] == "1"
    shell("%pronghorn calibration_rows=32 min_speedup=0 fallback=warn")
    assert hook.policy().calibration_rows == 32 and hook.policy().fallback == "warn"
    shell(MODEL)
    answers = shell("model.predict(x, verbose=0)")
    capsys.readouterr()
    shell("%pronghorn")
    text = capsys.readouterr().out
    assert "calibrating" in text and "INT8" in text and "64 rows" in text
    shell("%unload_ext pronghorn")
    assert not hook.installed() and "PRONGHORN" not in os.environ
    again = shell("model.predict(x, verbose=0)")
    assert (np.argmax(answers, 1) == np.argmax(again, 1)).mean() > 0.95
    shell("%reload_ext pronghorn")
    assert hook.installed()


def test_wrong_options_are_shown_with_what_is_accepted(shell):
    shell("%load_ext pronghorn")
    with pytest.raises(ValueError, match="allow, warn or forbid"):
        shell("%pronghorn fallback=perhaps")
    with pytest.raises(ValueError, match="is not an option of the hook"):
        shell("%pronghorn speed=11")
    with pytest.raises(ValueError, match="NAME=VALUE"):
        shell("%pronghorn fallback")
    with pytest.raises(ValueError, match="'many'; a number"):
        shell("%pronghorn calibration_rows=many")
    shell("%pronghorn keep=false threads=1")
    assert hook.policy().keep is False and hook.policy().threads == 1
    for wrong in ({"threads": 1.5}, {"keep": None}, {"calibration_rows": True}, {"fallback": 3}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*is accepted"):
            hook.install(**wrong)
