"""Which legs a change of the roads touches: so that only those who drive there need to hear of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from routing.roads.metric import Metric
from routing.roads.spot import Spot
from routing.roads.travel import Leg, Roads


def changed_arcs(before: Metric, after: Metric) -> NDArray[np.int64]:
    """Arcs that are closed, opened, slowed or sped up from one state of the roads to another, sorted."""
    return np.flatnonzero(before.weight != after.weight)


def touched(before: Roads, after: Roads, legs: Sequence[tuple[Spot, Spot]]) -> list[bool]:
    """Whether each leg drove over a street that has changed, or takes another time or way than before.

    The first is looked up on the old path street by street; the second catches what has become quicker
    elsewhere. Streets that have changed where nobody's way leads touch nothing.
    """
    changed = np.zeros(before.network.arcs, np.bool_)
    changed[changed_arcs(before.metric, after.metric)] = True
    if not changed.any():
        return [False] * len(legs)
    ways = zip(before.legs(legs), after.legs(legs), strict=True)
    return [_other(was, is_) or (was is not None and bool(changed[list(was.arcs)].any())) for was, is_ in ways]


def _other(was: Leg | None, is_: Leg | None) -> bool:
    if was is None or is_ is None:
        return was is not is_
    return (was.seconds, was.metres) != (is_.seconds, is_.metres)
