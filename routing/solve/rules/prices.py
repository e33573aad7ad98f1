"""Prices that all rules must agree on, in seconds of driving."""

from __future__ import annotations

UNASSIGNED_PRICE = 10_000_000_000
"""Price of an unassigned order at priority 0: above the lateness of two thousand others, so that an order is left out only when
it must be."""

LIBRARY_PRICE = 10_000_000
"""The same in the models of libraries: above any detour, and small enough that their own penalties keep their footing beside it."""

LATE_CAP = 5_000_000
"""The most that one stop costs for being late and after what was promised, or a shift for its overtime."""
