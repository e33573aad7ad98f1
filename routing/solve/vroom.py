"""Problems and solutions in VROOM's JSON: https://github.com/VROOM-Project/vroom/blob/master/docs/API.md (version 1.14).

In: vehicles, jobs and shipments, with matrices, or with coordinates and a map. What this cannot hold to is refused by name, never
left out in silence. Out: a problem of ours as VROOM's input, and a solution as VROOM's output. Places are `[longitude, latitude]`
there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from routing.errors import BadProblem
from routing.model import Break, Costs, Limits, Location, OrderKind, Place, Policy, TimeWindow
from routing.roads.travel import Matrix
from routing.solve import wellformed
from routing.solve.evaluation import evaluate
from routing.solve.problem import Crew, Problem, Solution, Task
from routing.solve.tour import Tour, ends_at, tour

MatrixOf = Callable[[Sequence[Place]], Matrix]
"""Travel times and distances between places."""

EVER = 7 * 86_400
"""So long (s) lasts the day of a vehicle that has no time window, from the first moment that the problem names."""

REFUSED = {
    "vehicles": ("steps", "volume", "profiles", "matrices_by_type"),
    "jobs": ("service_per_type", "setup_per_type"),
}
"""Of vehicles and of jobs: what no rule of ours says."""

PINNED = 1_000_000
"""Skills from this number on stand for one vehicle each, when a problem of ours goes out."""


class _Step(msgspec.Struct, frozen=True):
    id: int
    location: tuple[float, float] | None = None
    location_index: int | None = None
    setup: int = 0
    service: int = 0
    time_windows: tuple[tuple[int, int], ...] = ()


class _Job(_Step, frozen=True):
    delivery: tuple[int, ...] = ()
    pickup: tuple[int, ...] = ()
    skills: tuple[int, ...] = ()
    priority: int = 0


class _Shipment(msgspec.Struct, frozen=True):
    pickup: _Step
    delivery: _Step
    amount: tuple[int, ...] = ()
    skills: tuple[int, ...] = ()
    priority: int = 0


class _Costs(msgspec.Struct, frozen=True):
    fixed: int = 0
    per_hour: int = 3600
    per_km: int = 0


class _Break(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: int
    time_windows: tuple[tuple[int, int], ...] = ()
    service: int = 0
    description: str = ""


class _Vehicle(msgspec.Struct, frozen=True):
    id: int
    profile: str = "car"
    start: tuple[float, float] | None = None
    start_index: int | None = None
    end: tuple[float, float] | None = None
    end_index: int | None = None
    capacity: tuple[int, ...] = ()
    skills: tuple[int, ...] = ()
    time_window: tuple[int, int] | None = None
    costs: _Costs = _Costs()
    speed_factor: float = 1.0
    breaks: tuple[_Break, ...] = ()
    max_tasks: int | None = None
    max_travel_time: int | None = None
    max_distance: int | None = None


class _Matrices(msgspec.Struct, frozen=True):
    durations: list[list[int]]
    distances: list[list[int]] | None = None


class _Input(msgspec.Struct, frozen=True):
    vehicles: tuple[_Vehicle, ...]
    jobs: tuple[_Job, ...] = ()
    shipments: tuple[_Shipment, ...] = ()
    matrices: dict[str, _Matrices] = {}


def is_vroom(data: Any) -> bool:
    """Whether a JSON document looks like a problem of VROOM's."""
    return isinstance(data, dict) and "vehicles" in data and ("jobs" in data or "shipments" in data)


def read(raw: bytes, name: str, matrix_of: MatrixOf | None = None) -> Problem:
    """A problem from VROOM's input. Moments are as they are told; the present is the first of them.

    Raises
    ------
    BadProblem
        If it is none, says what this cannot hold to, or has coordinates and there is no map (`matrix_of`).
    """
    try:
        found, plain = msgspec.json.decode(raw, type=_Input), json.loads(raw)
    except RecursionError:
        raise BadProblem(f"{name} is nested too deeply.") from None
    except (msgspec.ValidationError, ValueError) as error:
        raise BadProblem(f"{name} is no problem of VROOM's: {error}.") from None
    _refuse(found, plain, name)
    places = _Places(found)
    tasks = [*_jobs(found, places), *_shipments(found, places, len(found.jobs))]
    moments = [window.start for task in tasks for window in task.windows]
    now = min([*moments, *(vehicle.time_window[0] for vehicle in found.vehicles if vehicle.time_window)], default=0)
    crews = tuple(_crew(vehicle, places, now, _width(found)) for vehicle in found.vehicles)
    problem = Problem(
        depot_id=name, now=now, revision=0, version=0, roads=0, dimensions=tuple(f"amount{n}" for n in range(_width(found))),
        policy=Policy(min_gain=0), tasks=tuple(tasks), crews=crews, matrix=_matrix(found, places, matrix_of, name),
        places=tuple(Place(place) for place in places.locations) if places.located else (),
    )  # fmt: skip
    wrong = next(wellformed.faults(problem), None)
    if wrong is not None:
        raise BadProblem(f"{name}: {wrong}.")
    return problem


def _refuse(found: _Input, plain: Any, name: str) -> None:
    halves = [half for one in plain.get("shipments", ()) for half in (one["pickup"], one["delivery"])]
    for what, rows in (("vehicles", plain["vehicles"]), ("jobs", [*plain.get("jobs", ()), *halves])):
        told = sorted({key for row in rows for key in row if key in REFUSED[what]})
        if told:
            raise BadProblem(f"{name}: {what} have {', '.join(told)}, which this does not hold to.", remedy="Leave that out.")
    if any("costs" in matrices for matrices in plain.get("matrices", {}).values()):
        raise BadProblem(f"{name}: matrices have costs, which this does not hold to.", remedy="Give per_hour and per_km instead.")
    width = _width(found)
    amounts = [vehicle.capacity for vehicle in found.vehicles] + [shipment.amount for shipment in found.shipments]
    amounts += [amount for job in found.jobs for amount in (job.delivery, job.pickup)]
    if any(len(amount) not in (0, width) for amount in amounts):
        raise BadProblem(f"{name}: some amounts have {width} numbers, and some fewer.", remedy="Give all of them as many.")
    for vehicle in found.vehicles:
        if any(len(one.time_windows) > 1 for one in vehicle.breaks):
            raise BadProblem(f"{name}: a break of vehicle {vehicle.id} has several windows, which this does not hold to.")
        if vehicle.time_window is not None and vehicle.time_window[0] > vehicle.time_window[1]:
            raise BadProblem(f"{name}: the time_window of vehicle {vehicle.id} ends before it begins.")
    if len({vehicle.profile for vehicle in found.vehicles}) > 1 or any(vehicle.speed_factor != 1 for vehicle in found.vehicles):
        raise BadProblem(f"{name}: vehicles differ in profile or speed_factor, which this does not hold to.", remedy="Split it.")
    for job in found.jobs:
        if any(job.delivery) and any(job.pickup):
            raise BadProblem(f"{name}: job {job.id} both delivers and picks up.", remedy="Make it two jobs at one place.")
    for vehicle in found.vehicles:
        if vehicle.start is None and vehicle.start_index is None:
            raise BadProblem(f"{name}: vehicle {vehicle.id} has no start.", remedy="Say where it is.")
    for kind, ids in (("vehicle", [vehicle.id for vehicle in found.vehicles]), ("job", [job.id for job in found.jobs])):
        if len(set(ids)) < len(ids):
            raise BadProblem(f"{name}: two {kind}s have the same id.")


def _width(found: _Input) -> int:
    sizes = [len(amount) for vehicle in found.vehicles for amount in [vehicle.capacity]]
    sizes += [len(amount) for job in found.jobs for amount in (job.delivery, job.pickup)]
    return max([*sizes, *(len(shipment.amount) for shipment in found.shipments)], default=0)


def _amount(told: Sequence[int], width: int) -> tuple[int, ...]:
    return tuple(told) + (0,) * (width - len(told))


class _Places:
    """The places of a problem: by index into its matrices, or by coordinates."""

    def __init__(self, found: _Input) -> None:
        steps = [*found.jobs, *(half for shipment in found.shipments for half in (shipment.pickup, shipment.delivery))]
        indices = [step.location_index for step in steps]
        indices += [index for vehicle in found.vehicles for index in (vehicle.start_index, vehicle.end_index)]
        self.located = all(index is None for index in indices)
        self.locations: list[Location] = []
        self._numbers: dict[tuple[float, float], int] = {}

    def number(self, index: int | None, location: tuple[float, float] | None) -> int:
        """The place of a step."""
        if not self.located:
            if index is None:
                raise BadProblem("Some steps have a location_index and some only coordinates.", remedy="Give all of them one.")
            return index
        if location is None:
            raise BadProblem("A step has neither location nor location_index.")
        if location not in self._numbers:
            self._numbers[location] = len(self.locations)
            self.locations.append(Location(location[1], location[0]))
        return self._numbers[location]


def _matrix(found: _Input, places: _Places, matrix_of: MatrixOf | None, name: str) -> Matrix:
    profile = found.vehicles[0].profile if found.vehicles else "car"
    if places.located:
        if matrix_of is None:
            raise BadProblem(f"{name} has coordinates and no location_index.", remedy="Name a map: --map FILE.")
        return matrix_of([Place(location) for location in places.locations])
    told = found.matrices.get(profile)
    if told is None:
        raise BadProblem(f"{name} has no matrix for profile {profile!r}.")
    try:
        seconds = np.array(told.durations, np.int32)
        metres = np.zeros_like(seconds) if told.distances is None else np.array(told.distances, np.int32)
    except (ValueError, OverflowError):
        raise BadProblem(f"{name}: its matrix is no square of whole numbers.") from None
    return Matrix(seconds, metres)


def _jobs(found: _Input, places: _Places) -> Iterator[Task]:
    width = _width(found)
    for job in found.jobs:
        kind = OrderKind.DELIVERY if any(job.delivery) else OrderKind.COLLECTION if any(job.pickup) else OrderKind.SERVICE
        amount = _amount(job.delivery if any(job.delivery) else job.pickup, width)
        yield _task(f"job{job.id}", kind, job, places, amount, job.skills, job.priority, None)


def _shipments(found: _Input, places: _Places, first: int) -> Iterator[Task]:
    for number, shipment in enumerate(found.shipments):
        name, at = f"shipment{shipment.pickup.id}_{shipment.delivery.id}", first + 2 * number
        amount = _amount(shipment.amount, _width(found))
        told = (places, amount, shipment.skills, shipment.priority)
        yield _task(name, OrderKind.COLLECTION, shipment.pickup, *told, at + 1, half="pickup")
        yield _task(name, OrderKind.DELIVERY, shipment.delivery, *told, at, half="delivery")


def _task(name: str, kind: OrderKind, step: _Step, places: _Places, amount: tuple[int, ...], skills: Sequence[int], priority: int,
          pair: int | None, *, half: str = "") -> Task:  # fmt: skip
    windows = tuple(sorted((TimeWindow(start, end) for start, end in step.time_windows), key=lambda window: window.start))
    return Task(
        stop_id=f"{name}.{half or kind}", order_id=name, kind=kind, place=places.number(step.location_index, step.location),
        windows=windows, hard=True, service_time=step.service, demand=amount, skills=frozenset(map(str, skills)), priority=priority,
        declined_by=frozenset(), goods_on=None, revision=0, was_unassigned=True, setup_time=step.setup, pair=pair,
    )  # fmt: skip


def _crew(vehicle: _Vehicle, places: _Places, now: int, width: int) -> Crew:
    start, end = vehicle.time_window or (now, now + EVER)
    away = vehicle.end is not None or vehicle.end_index is not None
    return Crew(
        shift_id=f"vehicle{vehicle.id}", driver_id=f"vehicle{vehicle.id}", vehicle_id=f"vehicle{vehicle.id}",
        place=places.number(vehicle.start_index, vehicle.start), ready=start,
        end_place=places.number(vehicle.end_index, vehicle.end) if away else None, shift_end=end,
        capacity=_amount(vehicle.capacity, width), load=(0,) * width, skills=frozenset(map(str, vehicle.skills)), departed=False,
        absent=False, serving=False, done=(), frozen=(), base=(), revisions={},
        costs=Costs(fixed=vehicle.costs.fixed, per_km=vehicle.costs.per_km, per_hour=vehicle.costs.per_hour),
        limits=Limits(vehicle.max_tasks, vehicle.max_distance, driving=vehicle.max_travel_time),
        breaks=tuple(sorted((Break(*(one.time_windows[0] if one.time_windows else (start, end)), one.service)
                             for one in vehicle.breaks), key=lambda one: one.earliest)),
    )  # fmt: skip


def write(problem: Problem) -> dict[str, Any]:
    """A problem as VROOM's input, with its matrix as it is now.

    What VROOM has no word for is put so that no solution breaks it (pins, exclusions, and stops that are frozen or whose goods are
    aboard become skills that one vehicle has), or is left out: prices of lateness, promises and changes, relations between orders,
    driving at a stretch, reloads; soft windows are open.
    """
    told = [*(task.skills for task in problem.tasks), *(crew.skills for crew in problem.crews)]
    names = sorted(set().union(*told))
    number = {name: index for index, name in enumerate(names)}
    holder = {crew.shift_id: v for v, crew in enumerate(problem.crews)}
    frozen = {task: v for v, crew in enumerate(problem.crews) for task in crew.frozen}

    def skills(index: int, task: Task) -> list[int]:
        only = [v for v, crew in enumerate(problem.crews) if task.only == crew.driver_id]
        pinned = frozen.get(index, holder.get(task.goods_on or task.bound_to or "", only[0] if only else None))
        return [number[name] for name in sorted(task.skills)] + ([PINNED + pinned] if pinned is not None else [])

    def step(index: int, task: Task) -> dict[str, Any]:
        windows = [[window.start, window.end] for window in task.windows] if task.hard else []
        told = {"id": index, "description": task.stop_id, "location_index": task.place, "setup": task.setup_time}
        told |= {"service": task.service_time} | _located(problem, task.place)
        return told | ({"time_windows": windows} if windows else {})

    jobs, shipments = [], []
    for index, task in enumerate(problem.tasks):
        if task.reload_of is not None:
            continue
        more = {"skills": skills(index, task), "priority": task.priority}
        if task.pair is None:
            amount = {} if task.kind is OrderKind.SERVICE else {
                "delivery" if task.kind is OrderKind.DELIVERY else "pickup": list(task.demand)}  # fmt: skip
            jobs.append(step(index, task) | amount | more)
        elif not task.second:
            halves = {"pickup": step(index, task), "delivery": step(task.pair, problem.tasks[task.pair])}
            shipments.append(halves | {"amount": list(task.demand)} | more)
    vehicles = [
        {"id": v, "description": crew.driver_id, "profile": "car", "start_index": crew.place, "capacity": list(crew.capacity),
         "skills": [number[name] for name in sorted(crew.skills)] + [PINNED + v], "time_window": _hours(crew),
         "costs": {"fixed": crew.costs.fixed, "per_hour": crew.costs.per_hour, "per_km": crew.costs.per_km}}
        | ({"end_index": crew.end_place} if crew.end_place is not None else {}) | _limits(crew)
        for v, crew in enumerate(problem.crews) if not crew.absent
    ]  # fmt: skip
    matrices = {"durations": problem.matrix.seconds.tolist(), "distances": problem.matrix.metres.tolist()}
    return {"vehicles": vehicles, "jobs": jobs, "shipments": shipments, "matrices": {"car": matrices}}


def _hours(crew: Crew) -> list[int]:
    return [crew.ready, max(crew.ready, min(crew.shift_end, ends_at(crew)[0]))]


def _limits(crew: Crew) -> dict[str, Any]:
    """What is left of a crew's limits, and its breaks. VROOM has none of how long a shift may last: its window ends sooner."""
    left = {"max_tasks": (crew.limits.stops, len(crew.done)), "max_distance": (crew.limits.distance, crew.driven[0]),
            "max_travel_time": (crew.limits.driving, crew.driven[1])}  # fmt: skip
    told: dict[str, Any] = {name: max(0, most - gone) for name, (most, gone) in left.items() if most is not None}
    breaks = [{"id": number, "time_windows": [[one.earliest, one.latest]], "service": one.duration}
              for number, one in enumerate(crew.breaks)]  # fmt: skip
    return told | ({"breaks": breaks} if breaks else {})


def _located(problem: Problem, place: int) -> dict[str, Any]:
    if place >= len(problem.places):
        return {}
    location = problem.places[place].location
    return {"location": [location.lon, location.lat]}


def solution(problem: Problem, found: Solution) -> dict[str, Any]:
    """A solution as VROOM's output: a summary, what nobody serves, and each route with its steps. Ids are those of the input."""
    routes = [_route(problem, crew, route) for crew, route in zip(problem.crews, found.routes, strict=True) if route]
    sums = ("cost", "setup", "service", "duration", "waiting_time", "priority", "distance")
    unassigned = [_named(problem.tasks[task]) | _located(problem, problem.tasks[task].place) for task in found.unassigned]
    return {"code": 0, "unassigned": unassigned, "routes": routes,
            "summary": {name: sum(route[name] for route in routes) for name in sums}
            | {"routes": len(routes), "unassigned": len(unassigned), "violations": []}}  # fmt: skip


def _named(task: Task) -> dict[str, Any]:
    """A task by the id that its input gave it; what does not come from VROOM's has only its stop's."""
    kind = "job" if task.pair is None else "delivery" if task.second else "pickup"
    ids = re.fullmatch(r"(?:job|shipment)(\d+)(?:_(\d+))?", task.order_id)
    known = {"id": int(ids[2] if kind == "delivery" and ids[2] else ids[1])} if ids else {}
    return {"type": kind, "description": task.stop_id} | known


def _route(problem: Problem, crew: Crew, route: Sequence[int]) -> dict[str, Any]:
    driven_so, priced = tour(problem, crew, route), evaluate(problem, crew, route)
    visits = driven_so.visits
    start = crew.ready if crew.rests else visits[0].arrive - visits[0].seconds
    steps: list[dict[str, Any]] = [{"type": "start", "arrival": start} | _located(problem, crew.place)]
    waited = serviced = setups = distance = driven = 0
    place, leave = crew.place, start
    for position, visit in enumerate(visits):
        waited, serviced = _breaks(driven_so, position, leave, steps, waited, serviced, (driven, distance))
        task = problem.tasks[visit.task]
        setup = task.setup_time if task.place != place else 0
        waiting, place = visit.begin - visit.arrive - setup, task.place
        waited, serviced, setups = waited + waiting, serviced + task.service_time, setups + setup
        distance, driven = distance + visit.metres, driven + visit.seconds
        steps.append(_named(task) | _located(problem, task.place) | {
            "arrival": visit.arrive, "setup": setup, "service": task.service_time, "waiting_time": waiting, "duration": driven,
            "distance": distance})  # fmt: skip
        leave = visit.leave
    waited, serviced = _breaks(driven_so, len(visits), leave, steps, waited, serviced, (driven, distance))
    if crew.end_place is not None:
        nearest = problem.nearest_end(problem.tasks[route[-1]].place, crew.end_place, leave)
        seconds, metres = problem.leg(problem.tasks[route[-1]].place, nearest, leave)
        driven, distance, leave = driven + seconds, distance + metres, driven_so.home
        end = {"type": "end", "arrival": leave, "duration": driven, "distance": distance}
        steps.append(end | _located(problem, nearest))
    vehicle = crew.vehicle_id.removeprefix("vehicle")
    return {
        "vehicle": int(vehicle) if vehicle.isdigit() else crew.vehicle_id, "cost": priced.cost, "setup": setups,
        "service": serviced, "duration": driven, "distance": distance, "waiting_time": waited,
        "priority": sum(problem.tasks[task].priority for task in route), "steps": steps, "violations": [],
    }  # fmt: skip


def _breaks(way: Tour, position: int, leave: int, steps: list[dict[str, Any]], waited: int, serviced: int,
            so_far: tuple[int, int]) -> tuple[int, int]:  # fmt: skip
    """Add the breaks before a position to a route's steps; the waiting and service that there have been then."""
    for pause in way.pauses:
        if pause.before == position:
            waiting = 0 if pause.on_the_way else pause.start - leave
            waited, serviced = waited + waiting, serviced + pause.end - pause.start
            steps.append({"type": "break", "arrival": pause.start - waiting, "setup": 0, "service": pause.end - pause.start,
                          "waiting_time": waiting, "duration": so_far[0], "distance": so_far[1]})  # fmt: skip
            leave = pause.end
    return waited, serviced
