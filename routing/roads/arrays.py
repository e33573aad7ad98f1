"""Files of arrays that open in a moment: a JSON header and the raw arrays behind it, aligned to 64 bytes.

Opening maps the file, so that all processes share its pages. Writing never shows a reader half a file.
"""

from __future__ import annotations

import functools
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routing.errors import LastlegError

_ALIGN = 64

Array = NDArray[Any]


class Unreadable(LastlegError):
    """A file of arrays is missing, foreign, cut off or damaged."""

    code = "unreadable_file"


def save(path: Path, magic: bytes, values: Mapping[str, Any], arrays: Mapping[str, Array], *, durable: bool) -> None:
    """Write a file: under another name first, and down to the disk before it is shown if `durable`.

    Raises
    ------
    OSError
        If the disk is full or may not be written; nothing is left behind.
    """
    table, blocks, offset = {}, [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        table[name] = [array.dtype.str, len(array), offset]
        blocks.append(data + b"\0" * (-len(data) % _ALIGN))
        offset += len(blocks[-1])
    checksum = functools.reduce(lambda crc, block: zlib.crc32(block, crc), blocks, 0)
    text = json.dumps({"values": dict(values), "arrays": table, "checksum": checksum}).encode()
    head = magic + len(text).to_bytes(8, "little") + text
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(head + b"\0" * (-len(head) % _ALIGN))
            file.writelines(blocks)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def load(path: Path, magic: bytes, *, verify: bool) -> tuple[dict[str, Any], dict[str, Array]]:
    """A file's values and its arrays, read-only. With `verify` all of it is read once and held against its checksum.

    Raises
    ------
    Unreadable
        If the file is missing, empty, foreign, cut off or damaged.
    """
    try:
        raw = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    except FileNotFoundError:
        raise Unreadable(f"There is no file {path}.") from None
    except (ValueError, OSError) as error:
        raise Unreadable(f"{path} cannot be opened: {error}.") from None
    start = len(magic) + 8
    if raw[: len(magic)].tobytes() != magic:
        raise Unreadable(f"{path} is not a {magic.decode().strip().lower()} of this program.")
    size = int.from_bytes(raw[len(magic) : start].tobytes(), "little")
    base = start + size + (-(start + size)) % _ALIGN
    found = {}
    try:
        header = json.loads(raw[start : start + size].tobytes())
        for name, (dtype, length, offset) in header.get("arrays", {}).items():
            end = base + offset + np.dtype(dtype).itemsize * length
            if not 0 <= offset <= end - base <= len(raw) - base:
                raise ValueError(name)
            found[name] = raw[base + offset : end].view(dtype)
        values = dict(header.get("values", header))
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError):
        raise Unreadable(f"{path} is cut off or damaged.") from None
    if verify and "checksum" in header and zlib.crc32(raw[base:].data) != header["checksum"]:
        raise Unreadable(f"{path} is damaged.")
    return values, found
