"""How the kernels of this package are compiled: ahead of use, once, for one set of types each.

Every kernel names its types, so that importing its module loads machine code from numba's cache (or makes it, the
first time: `python -m routing.roads.jit` does so with progress), and no request ever waits for a compiler. Inputs
are declared read-only, which both mapped files and ordinary arrays are accepted as. Kernels release the GIL and
run on one core: processes are what this program scales by.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import numba
from numba import types

Kernel = Callable[..., Any]

KERNELS = ("dissection", "hierarchy", "grid", "customization", "metric", "rphast", "paths", "closures", "cache")
"""Modules of this package that have kernels."""


def read(dtype: Any, dimensions: int = 1) -> Any:
    """The type of an array that a kernel only reads."""
    return types.Array(dtype, dimensions, "C", readonly=True)


def write(dtype: Any, dimensions: int = 1) -> Any:
    """The type of an array that a kernel fills."""
    return types.Array(dtype, dimensions, "C")


def kernel(*arguments: Any, returns: Any = types.none) -> Callable[[Kernel], Kernel]:
    """Compile a function for exactly these types."""

    def compiled(function: Kernel) -> Kernel:
        made: Kernel = numba.njit(returns(*arguments), cache=True, nogil=True, error_model="numpy")(function)
        return made

    return compiled


def main() -> None:
    """Compile all kernels, or load those that are compiled already."""
    begin = time.perf_counter()
    for number, name in enumerate(KERNELS, 1):
        print(f"{time.perf_counter() - begin:6.1f} s  kernels {number}/{len(KERNELS)}: {name}", flush=True)
        importlib.import_module(f"routing.roads.{name}")
    print(f"{time.perf_counter() - begin:6.1f} s  kernels are compiled")


if __name__ == "__main__":
    main()
