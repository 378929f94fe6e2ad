"""Host memory that a GPU reads without a copy by its driver. Written after CUDA's documentation, untried on hardware.

https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html (cudaHostAlloc, cudaFreeHost).
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable

import numpy as np

from serving.backends.base import Array

LIBRARIES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so")
LEAST_BYTES = 64 * 1024
"""Smaller tensors are not worth a copy of their own."""


class PinnedMemory:
    """A buffer for each input, which grows to the greatest tensor that it was given. For one thread.

    Args:
        allocate: gives the address of so many bytes, 0 where there are none.
        free: takes an address back.
    """

    def __init__(self, allocate: Callable[[int], int], free: Callable[[int], None]) -> None:
        self._allocate = allocate
        self._free = free
        self._buffers: dict[str, tuple[int, int]] = {}

    def stage(self, name: str, value: Array) -> Array:
        """The same tensor in pinned memory, until the next one of this name; as it is where it is small, or memory is short."""
        if value.nbytes < LEAST_BYTES or value.dtype == object:
            return value
        address = self._buffer(name, value.nbytes)
        if not address:
            return value
        memory = memoryview((ctypes.c_char * value.nbytes).from_address(address)).cast("B")
        staged: Array = np.frombuffer(memory, value.dtype).reshape(value.shape)
        np.copyto(staged, value)
        return staged

    def close(self) -> None:
        """Give all back: nothing that `stage` gave may be used any more."""
        for address, _ in self._buffers.values():
            self._free(address)
        self._buffers = {}

    def _buffer(self, name: str, size: int) -> int:
        address, capacity = self._buffers.get(name, (0, 0))
        if capacity >= size:
            return address
        if self._buffers.pop(name, None):
            self._free(address)
        address = self._allocate(size)
        if address:
            self._buffers[name] = address, size
        return address


def find() -> PinnedMemory | None:
    """CUDA's, where its runtime library is there."""
    for name in LIBRARIES:
        with contextlib.suppress(OSError, AttributeError):
            return _of(ctypes.CDLL(name))
    return None


def _of(library: ctypes.CDLL) -> PinnedMemory:
    host_alloc, free_host = library.cudaHostAlloc, library.cudaFreeHost
    host_alloc.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_uint]
    free_host.argtypes = [ctypes.c_void_p]

    def allocate(size: int) -> int:
        address = ctypes.c_void_p()
        failed = host_alloc(ctypes.byref(address), size, 0)
        return 0 if failed else address.value or 0

    return PinnedMemory(allocate, free_host)
