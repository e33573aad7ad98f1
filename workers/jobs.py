"""The RQ jobs: hints that a depot may need work. They carry an id, never data, and may be lost or doubled."""

from __future__ import annotations

import logging

from ingest.settings import Settings
from ingest.store import keys
from ingest.store.connection import check_schema, connect
from routing.errors import MapFileError
from workers import replan, travel
from workers.lease import hold

BACK_OFF_S = 10.0
"""How long a depot whose job failed is left alone: the other depots need the worker too."""


def repair(depot_id: str) -> int:
    """Answer a depot's triggers; versions published."""
    return _work(depot_id, "repair")


def improve(depot_id: str) -> int:
    """Improve a depot's plan; versions published."""
    return _work(depot_id, "improve")


def _work(depot_id: str, role: str) -> int:
    settings = Settings.read()
    client = connect(settings)
    check_schema(client)
    client.delete(keys.hint(depot_id, role))
    with hold(client, depot_id, role) as mine:
        if not mine:
            return 0
        try:
            return (replan.repair if role == "repair" else replan.improve)(client, settings, depot_id)
        except Exception:
            client.set(keys.hint(depot_id, role), "failed", px=int(BACK_OFF_S * 1000))
            raise


def preload() -> None:
    """What a worker loads once before it forks for jobs: maps, compiled kernels and the solver's library."""
    import ortools.constraint_solver.pywrapcp  # noqa: F401  # half a second that no job should pay

    from routing.roads import maps

    settings = Settings.read()
    travel.forget_earlier_boots(settings)
    for folder in settings.maps:
        for path in folder.glob(f"*{maps.SUFFIX}"):
            try:
                maps.network(path)
            except MapFileError as error:  # one broken file may not stop the depots on other maps
                logging.getLogger(__name__).error("%s", error)
