# SPDX-License-Identifier: Apache-2.0
"""Which frameworks the zero-change hook knows; and how PRONGHORN=1 starts it.

`pronghorn.pth` imports this module in every interpreter that starts with PRONGHORN=1. It costs next
to nothing: `pronghorn` itself (and NumPy with it) is imported when the first of these modules is.
"""

import sys

# The modules that are waited for, and the module of `pronghorn.hook.frameworks` that takes each:
# its function `attach(module, hook)` is called once the module has been imported.
FRAMEWORKS = {
    "keras": {"keras": "keras_models"},
    "sklearn": dict.fromkeys(["sklearn.cluster", "sklearn.linear_model", "sklearn.naive_bayes"],
                             "sklearn_estimators"),
}

MODULES = {name: (framework, adapter)
           for framework, modules in FRAMEWORKS.items() for name, adapter in modules.items()}


class Starter:
    """A finder that finds nothing: it installs the hook when a framework is about to be imported."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "tensorflow":
            import pronghorn  # ours first: see pronghorn/_loading.py
        if name not in MODULES:
            return None
        from pronghorn import hook

        hook.install_from_environment()  # removes this finder
        # This import is under way already and may not ask the finder that was just installed.
        return hook.find_spec(name, path, target)


def start() -> None:
    if Starter not in sys.meta_path:
        sys.meta_path.insert(0, Starter)
