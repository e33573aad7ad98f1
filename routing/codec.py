"""JSON in and out for the domain's data; numpy matrices are nested lists."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import numpy as np

from routing.errors import BadProblem

T = TypeVar("T")


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise NotImplementedError(f"cannot encode {type(value)}")


def _decode(kind: type, value: Any) -> Any:
    if getattr(kind, "__origin__", kind) is np.ndarray:
        found = np.array(value)
        if found.size and found.dtype.kind not in "iu":
            raise ValueError("a matrix holds whole numbers")
        if found.size and not -(2**31) <= int(found.min()) <= int(found.max()) < 2**31:
            raise ValueError("a matrix holds numbers below 2^31")
        return found.astype(np.int32)
    raise NotImplementedError(f"cannot decode {kind}")


_ENCODER = msgspec.json.Encoder(enc_hook=_encode, order="deterministic")


def dumps(value: object) -> bytes:
    """Compact, deterministic JSON."""
    return _ENCODER.encode(value)


def loads(text: bytes | str, kind: type[T]) -> T:
    """Read and validate.

    Raises
    ------
    BadProblem
        If the text is no JSON or not of this kind; the message has the path to the fault.
    """
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=_decode)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadProblem(f"This is no {kind.__name__}: {error}.") from None


def builtins(value: object) -> Any:
    """The same as plain dicts, lists, strings and numbers."""
    return msgspec.to_builtins(value, enc_hook=_encode)
