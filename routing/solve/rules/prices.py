"""Prices that all rules must agree on, in seconds of driving."""

from __future__ import annotations

UNASSIGNED_PRICE = 10_000_000
"""Price of an unassigned order at priority 0: above any lateness, so an order is left out only when it must be."""

LATE_CAP = UNASSIGNED_PRICE // 2
"""The most a late stop costs: however late, serving it is better than leaving it out."""
