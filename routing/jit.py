"""How kernels are compiled: ahead of use, once, for one set of types each.

Every kernel names its types, so that importing its module loads machine code from numba's cache (or makes it, the
first time: `python -m routing.jit` does so with progress), and no request ever waits for a compiler. Inputs
are declared read-only, which both mapped files and ordinary arrays are accepted as. Kernels release the GIL and
run on one core: processes are what this program scales by.

Numba notices a change in a kernel's own file only: kernels that call each other, and the constants they use, share a file.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from typing import Any

import numba
from numba import types
from numba.core.cpu import CPUTargetOptions

Kernel = Callable[..., Any]

KERNELS = (
    *(f"routing.roads.{name}" for name in (
        "dissection", "hierarchy", "grid", "customization", "metric", "rphast", "paths", "closures", "cache")),
    "routing.solve.kernel",
)  # fmt: skip
"""Modules that have kernels."""

SAFE = "LASTLEG_SAFE_KERNELS"
"""Set in the environment, kernels that allocate nothing count references all the same, as numba does by default."""

COUNTING = "_nrt"
"""Numba's switch for counting references, which is private: it may go."""


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


def tight(*arguments: Any, returns: Any = types.none) -> Callable[[Kernel], Kernel]:
    """Compile a function that allocates nothing and is called millions of times a second.

    Counting references to the arrays in its arguments would cost more than what it does. Numba has a switch for that,
    which is not documented: where it is gone, or `LASTLEG_SAFE_KERNELS` is set, references are counted, several times slower.
    """

    def compiled(function: Kernel) -> Kernel:
        safe = bool(os.environ.get(SAFE))  # not to be mixed up with the others, of which the cache cannot tell them
        options: dict[str, Any] = {"cache": not safe, "nogil": True, "error_model": "numpy"}
        if not safe and hasattr(CPUTargetOptions, COUNTING):
            options[COUNTING] = False
        made: Kernel = numba.njit(returns(*arguments), **options)(function)
        return made

    return compiled


def main() -> None:
    """Compile all kernels, or load those that are compiled already."""
    begin = time.perf_counter()
    for number, name in enumerate(KERNELS, 1):
        print(f"{time.perf_counter() - begin:6.1f} s  kernels {number}/{len(KERNELS)}: {name.rpartition('.')[2]}", flush=True)
        importlib.import_module(name)
    print(f"{time.perf_counter() - begin:6.1f} s  kernels are compiled")


if __name__ == "__main__":
    main()
