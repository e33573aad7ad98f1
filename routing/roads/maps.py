"""Maps by name: the folders they are looked up in, and what stays open for the life of a process."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from routing.errors import MapFileError
from routing.roads.network import Network

SUFFIX = ".map"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def find(name: str, folders: Sequence[Path]) -> Path:
    """The file of a map. Names are never paths, so a request cannot reach another file.

    Raises
    ------
    MapFileError
        If the name is no name, or no folder has the map.
    """
    if _NAME.fullmatch(name):
        for folder in folders:
            path = folder / f"{name}{SUFFIX}"
            if path.is_file():
                return path
    known = sorted({path.stem for folder in folders for path in folder.glob(f"*{SUFFIX}")})
    raise MapFileError(
        f"There is no map {name!r}; there are {', '.join(known) or 'none'}.",
        remedy="Import one: python -m routing.roads import SOURCE --out FILE",
    )


@lru_cache(maxsize=16)
def network(path: Path) -> Network:
    """Open a map once per process."""
    return Network.open(path)
