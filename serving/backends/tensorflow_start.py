"""TensorFlow's import, which takes 3 s and 640 MB, made so that a process which answers meanwhile is not held up by it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serving import log
from skylift.errors import MachineError

LIBRARIES = ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")
QUIET_SWITCH_SECONDS = 0.0005
_lock = threading.Lock()


def import_tensorflow(threads: int, *, gpu_memory_mib: int = 0) -> Any:
    """The package tensorflow, with its thread pools set before the first operation.

    Other threads of the process wait 0.1 s at most for the interpreter meanwhile (without these measures: 0.4 s).

    Args:
        threads: of one operation; the number that the first caller gives stays.
        gpu_memory_mib: of each GPU; 0: it grows as needed. Untried on hardware.

    Raises:
        MachineError: it is not installed.
    """
    with _lock:
        if "tensorflow" in sys.modules:
            return sys.modules["tensorflow"]
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        try:
            with _quietly():
                import tensorflow
        except ImportError as error:
            raise MachineError(
                f"TensorFlow cannot be imported: {error}",
                hint="install it: `pip install 'skylift[serve-tensorflow]'`",
            ) from None
        _configure(tensorflow, threads, gpu_memory_mib)
        return tensorflow


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Load the libraries without holding the interpreter, collect no garbage among what is made, hand over more often."""
    _preload()
    interval, was_collecting = sys.getswitchinterval(), gc.isenabled()
    gc.disable()
    sys.setswitchinterval(min(interval, QUIET_SWITCH_SECONDS))
    try:
        yield
        gc.freeze()  # 400,000 objects that stay: later collections need not walk over them, 0.1 s each time
    finally:
        sys.setswitchinterval(interval)
        if was_collecting:
            gc.enable()


def _preload() -> None:
    """Python's import holds the interpreter while it opens a library; a call through ctypes does not."""
    found = importlib.util.find_spec("tensorflow")
    folders = found.submodule_search_locations if found else None
    with contextlib.suppress(OSError, AttributeError, TypeError):
        dlopen = ctypes.CDLL(None).dlopen
        dlopen.restype, dlopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
        for path in (Path(folder) / name for folder in folders or () for name in LIBRARIES):
            if path.is_file():
                dlopen(os.fsencode(path), os.RTLD_NOW)


def _configure(tensorflow: Any, threads: int, gpu_memory_mib: int) -> None:
    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        for device in tensorflow.config.list_physical_devices("GPU"):  # untried on hardware
            if gpu_memory_mib:
                limit = tensorflow.config.LogicalDeviceConfiguration(memory_limit=gpu_memory_mib)
                tensorflow.config.set_logical_device_configuration(device, [limit])
            else:
                tensorflow.config.experimental.set_memory_growth(device, True)
    except RuntimeError as error:
        log.event(
            "tensorflow_configured_before", why=str(error)
        )  # something of the process has computed with it already
