"""Running and rewriting Keras programs: `import keras` that means torchkeras, the runner and the codemod."""

from torchkeras.porting.detect import Found, detect
from torchkeras.porting.finder import install_as_keras, uninstall_as_keras
from torchkeras.porting.running import load_ipython_extension, run_module, run_script, unload_ipython_extension

__all__ = [
    "Found",
    "detect",
    "install_as_keras",
    "load_ipython_extension",
    "run_module",
    "run_script",
    "uninstall_as_keras",
    "unload_ipython_extension",
]
