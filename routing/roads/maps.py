"""Maps and speed tables by name: the folders they are looked up in, and what stays open for the life of a process."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from routing.errors import BadRoads, MapFileError
from routing.roads import profile
from routing.roads.network import Network
from routing.roads.profile import Profile

SUFFIX = ".map"
SPEEDS_SUFFIX = ".speeds.csv"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def find(name: str, folders: Sequence[Path]) -> Path:
    """The file of a map. Names are never paths, so a request cannot reach another file.

    Raises
    ------
    MapFileError
        If the name is no name, or no folder has the map.
    """
    path = _find(name, folders, SUFFIX)
    if path is None:
        raise MapFileError(f"There is no map {name!r}; there are {_known(folders, SUFFIX)}.",
                           remedy="Import one: python -m routing.roads import SOURCE --out FILE")  # fmt: skip
    return path


def speeds(name: str, folders: Sequence[Path]) -> Profile:
    """A table of speeds, from the same folders as maps.

    Raises
    ------
    BadRoads
        If no folder has the table, or it is broken.
    """
    path = _find(name, folders, SPEEDS_SUFFIX)
    if path is None:
        raise BadRoads(f"There is no speed table {name!r}; there are {_known(folders, SPEEDS_SUFFIX)}.",
                       remedy=f"Put NAME{SPEEDS_SUFFIX} beside your maps.")  # fmt: skip
    return _speeds(path, path.stat().st_mtime_ns)


def network(path: Path) -> Network:
    """Open a map once per process, and again after it was replaced.

    Raises
    ------
    MapFileError
        If it is missing, damaged or of another format.
    """
    try:
        stamp = path.stat()
    except OSError:
        return Network.open(path)  # which says what is wrong
    return _network(path, stamp.st_mtime_ns, stamp.st_ino)


@lru_cache(maxsize=16)
def _network(path: Path, _written: int, _inode: int) -> Network:
    return Network.open(path)


@lru_cache(maxsize=16)
def _speeds(path: Path, _written: int) -> Profile:
    return profile.read(path)


def _find(name: str, folders: Sequence[Path], suffix: str) -> Path | None:
    return next((path for path in _paths(name, tuple(folders), suffix) if path.is_file()), None)


@lru_cache(maxsize=256)
def _paths(name: str, folders: tuple[Path, ...], suffix: str) -> list[Path]:
    return [folder / f"{name}{suffix}" for folder in folders] if _NAME.fullmatch(name) else []


def _known(folders: Sequence[Path], suffix: str) -> str:
    names = sorted({path.name.removesuffix(suffix) for folder in folders for path in folder.glob(f"*{suffix}")})
    return ", ".join(names) or "none"
