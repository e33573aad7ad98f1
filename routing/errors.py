"""One small tree of exceptions; what users read is `code`, `detail` and `remedy`."""

from __future__ import annotations


class LastlegError(Exception):
    """Base of everything this project raises on purpose.

    Parameters
    ----------
    detail
        What is wrong, for a person, with the values concerned.
    remedy
        What to do about it.
    """

    code = "error"

    def __init__(self, detail: str, *, remedy: str = "") -> None:
        super().__init__(f"{detail} {remedy}".strip())
        self.detail = detail
        self.remedy = remedy


class MapFileError(LastlegError):
    """A map file is missing, empty, broken or of another format."""

    code = "map_file"


class ImportFailed(LastlegError):
    """A source could not be turned into a map."""

    code = "import_failed"


class OffMap(LastlegError):
    """A location is too far from every street of the map."""

    code = "off_map"

    def __init__(self, detail: str, *, distance_m: float, remedy: str = "") -> None:
        super().__init__(detail, remedy=remedy)
        self.distance_m = distance_m


class BadProblem(LastlegError):
    """A problem or plan document cannot be read."""

    code = "bad_problem"


class WrongMap(LastlegError):
    """Something made for one map is used on another one."""

    code = "wrong_map"


class BadRoads(LastlegError):
    """Places, times or factors that no road can have."""

    code = "bad_roads"
