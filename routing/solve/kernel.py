"""Ruin and recreate on flat arrays: the search behind `repair`, `improve` and quotes.

The method is SISR (slack induction by string removals: Christiaens & Vanden Berghe, Transportation Science 2020), on the
full model and from a plan in force. `routing.solve.arrays` makes the arrays from a problem and reads the routes back.

Nodes
    0 .. n-1 are tasks, n + v is where crew v can be planned from, n + V + v where it ends. Routes are doubly linked lists.
Times
    int32 seconds from a zero before all of them. `BEYOND` stands for never; a leg that may not be driven takes that long.
What holds between calls
    For each node of a route: `LEAVE` is when it is left, `LATEST` the latest arrival that keeps every hard limit from here
    on, `SLACK` the latest that adds no lateness, `COST` and `DRIVE` those of the leg to the next node, prices for
    changing the plan in force included. In a problem where loads both rise and fall, `load` has for each node what is on
    board after it, and the most before and from there on. `LATENESS` of a crew is what its lateness, its overtime and
    its ways to places of breaks cost, and with `LIMITED` it has the metres and seconds of all its legs.
    `total[COSTS]` is the price of everything: legs, lateness, fixed costs, and of each task in no route.

In each function, `fixed` is the problem (`Fixed`), `live` the state of the search (`Live`). The search allocates nothing; see
`routing.jit.tight`. Constants live here because numba looks at one file only.
"""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np
from numba import types

from routing.jit import kernel, read, tight, write

NEXT, PREV, CREW, LEAVE, LATEST, SLACK, COST, DRIVE = 0, 1, 2, 3, 4, 5, 6, 7
"""Columns of `node` that change."""
LOC, SERVICE, OPEN, CLOSE, DUE, WINDOW, OWNER, BEFORE = 8, 9, 10, 11, 12, 13, 14, 15
"""Columns of `node` that stay: where, how long, when, row of several windows or -1, crew and predecessor in the plan in force."""

STOPS, LATENESS, STAMP, MOVES, TRIED = 0, 1, 2, 3, 4
"""Columns of `crew` that change; the amounts on board of each dimension follow from `AMOUNTS` on."""
FIXED, BASE, KIND, PROFILE, MOST_MOVES, ROAD, ENDING, BEHIND, LOADS = 5, 6, 7, 8, 9, 10, 11, 12, 13
"""Columns of `crew` that stay: cost of use, cost of staying empty, kind (alike crews), matrix, bound of `MOVES`, departed,
kind of ending (crews that may take over each other's tails), stops made or frozen, whether goods from the depot are aboard at the
start."""
AMOUNTS = 14

NUMBERED, LIMITED, RELATED, RELOADED = 1, 2, 4, 8
"""Bits of `rules`: stops pinned to a position; limits or rests; relations between tasks; reloads. Plain problems have none, and
nothing to pay for them but to see that."""

MOST, MOST_STOPS, RESTS = 2, 4, 5
"""With `LIMITED` a crew has more columns, behind the amounts and the room for them (see `far`): metres and seconds of its
legs, which change, then the bounds of both, that of `STOPS`, and the row of `rows` where its rests are (-1: it has none). There
stand the seconds at the wheel between two rests and how long these last; those since the last one, and whether it drives home; and
of each break the first and the last moment it may begin at, its length and its place (plus 1; 0: anywhere), up to a row (0, -1)."""
LIMITS = 6

LEFT_OUT, LATE, LATE_FROM, SHIFTED, PROMISE, MOVE, REORDER, PAIR, SECOND, NUMBER, MATES, GOODS = range(12)
"""Columns of `price`, a row per node: prices (of one second for LATE and SHIFTED), the moments they count from, the
other half of a pair (or -1), 1 for the delivery of one, the position it is pinned to (0: none, `END`: last), and the row of its
relations (-1: none), and what its goods are. For each dimension follow the change of the load there (of a start: what was
collected), and what joins at the start, or at a reload, for it."""
CHANGES = 12

AT_DEPOT, RELOAD, TO_DEPOT = 1, 2, 3
"""Goods that come aboard at the depot, a reload there, and goods that leave a van there; 0 for all others. Reloads are the last
tasks, cost nothing to leave out, and are in no list of what is: one comes with a task that needs it, and goes when none does."""

TOGETHER, APART, AFTER, AHEAD, BEHIND_IT, IN_FRONT = 0, 1, 2, 3, 4, 5
"""Relations: a row (relation, other task) each, up to (-1, -1). On the same crew or not; after or ahead of it there; right behind
it, which may be the start node of a route; or right in front of it. All but `APART` and `TOGETHER` come with a `TOGETHER`."""

END = 1 << 20

COSTS, BEST, STAMP_NOW, LEFT, SAVED, TOUCHED, IN_USE, PLACED, BEST_LEFT, DONE, TAKEN, FOUND, CALL = range(13)
"""Columns of `total`: price now and of the best, stamp, tasks left out, rows saved, crews touched, crews in use, tasks
placed, left out in the best, iterations, accepted, improved, calls. From `SPARE` on: the first unused crew of each kind."""
SPARE = 13

LEFT_NOW, LEFT_THEN, GONE, CHANGED, BEST_NEXT, BEST_LEFT_OUT, STRING = 0, 1, 2, 3, 4, 5, 6
"""Rows of `lists`: tasks left out, before this iteration, to put back; crews touched; the best routes; a string."""

BEYOND = 1 << 28
NEVER = 1 << 29
NO = 1 << 60
LATE_CAP = 5_000_000

Fixed = namedtuple(
    "Fixed", "n crews dimensions soft mixed stable barred pairs rules kinds matrix price rows bar near"
)
"""What a search reads: scalars; `matrix` (P, L, L, 4) cost and seconds out and back, and with `LIMITED` (P, L, L, 6)
with metres and seconds on the road; `rows` (R, 2) of windows, rests and relations; near (n, k, 3)."""
Live = namedtuple("Live", "node crew total lists saved saved_crew load random")
"""What a search changes."""

_I4, _I8, _F8, _U1, _U8 = types.int32, types.int64, types.float64, types.uint8, types.uint64
FIXED_TYPE = types.NamedTuple(
    (*(_I8,) * 3, *(types.boolean,) * 5, *(_I8,) * 2, write(_I4, 4), write(_I8, 2), write(_I4, 2), write(_U1, 2),
     write(_I4, 3)), Fixed)  # fmt: skip
LIVE_TYPE = types.NamedTuple(
    (write(_I4, 2), write(_I8, 2), write(_I8), write(_I4, 2), write(_I4, 2), write(_I8, 2), write(_I4, 3), write(_U8)),
    Live)  # fmt: skip
_NODES, _PRICES, _WINDOWS = write(_I4, 2), write(_I8, 2), write(_I4, 2)
_FOUND = types.UniTuple(_I8, 3)
_FOUND_PAIR = types.UniTuple(_I8, 4)

_U13, _U7, _U17, _U11 = np.uint64(13), np.uint64(7), np.uint64(17), np.uint64(11)


@tight(write(_U8), returns=_F8)
def uniform(random):
    """A number in [0, 1): xorshift64."""
    x = random[0]
    x ^= x << _U13
    x ^= x >> _U7
    x ^= x << _U17
    random[0] = x
    return np.float64(x >> _U11) * (1.0 / 9007199254740992.0)


# ---------------------------------------------------------------- times and prices of one node


@tight(_NODES, _WINDOWS, _I8, _I8, returns=_I8)
def begin(node, window, u, arrive):
    """When service begins after arriving, or -1 if it may not any more."""
    if arrive > node[u, CLOSE]:
        return -1
    row = np.int64(node[u, WINDOW])
    if row < 0:
        return max(arrive, np.int64(node[u, OPEN]))
    while arrive > window[row, 1]:
        row += 1
    return max(arrive, np.int64(window[row, 0]))


@tight(_NODES, _WINDOWS, _I8, _I8, returns=_I8)
def latest(node, window, u, limit):
    """The latest arrival whose service begins by `limit`; very early if there is none."""
    row = np.int64(node[u, WINDOW])
    if row < 0:
        if limit < node[u, OPEN]:
            return -NEVER
        return min(limit, np.int64(node[u, CLOSE]))
    found = np.int64(-NEVER)
    while window[row, 1] >= 0:
        if window[row, 0] <= limit:
            found = min(limit, np.int64(window[row, 1]))
        row += 1
    return found


@tight(_PRICES, _I8, _I8, returns=_I8)
def lateness(price, u, at):
    """What beginning there at that moment costs."""
    cost = np.int64(0)
    if at > price[u, LATE_FROM]:
        cost = (at - price[u, LATE_FROM]) * price[u, LATE]
    if at > price[u, PROMISE]:
        cost += (at - price[u, PROMISE]) * price[u, SHIFTED]
    return min(cost, LATE_CAP)


@tight(_I8, _NODES, _PRICES, _I8, _I8, _I8, returns=_I8)
def change_price(n, node, price, v, i, j):
    """What having j follow i in the route of v costs, as a change of the plan in force."""
    owner = node[j, OWNER]
    if owner < 0:
        return np.int64(0)
    if owner != v:
        return price[j, MOVE]
    if node[j, BEFORE] == i or (i < n and node[i, OWNER] < 0):  # a new stop in between is no resequencing
        return np.int64(0)
    return price[j, REORDER]


# ---------------------------------------------------------------- routes


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8)
def count(fixed, live, v, change):
    """Keep the number of stops of a crew, of crews in use, and the first spare of each kind."""
    crew, total = live.crew, live.total
    before = crew[v, STOPS]
    crew[v, STOPS] = before + change
    total[PLACED] += change
    kind = SPARE + crew[v, KIND]
    if before == 0 and change > 0:
        total[IN_USE] += 1
        if total[kind] == v:
            total[kind] = -1
            for x in range(v + 1, fixed.crews):
                if SPARE + crew[x, KIND] == kind and crew[x, STOPS] == 0:
                    total[kind] = x
                    break
    elif before + change == 0 and change < 0:
        total[IN_USE] -= 1
        if total[kind] < 0 or total[kind] > v:
            total[kind] = v


@tight(FIXED_TYPE, LIVE_TYPE, _I8)
def price_lateness(fixed, live, v):
    """Price the lateness of a route again; nothing is late in an unused one."""
    node, cost = live.node, np.int64(0)
    if live.crew[v, STOPS] > 0 or live.crew[v, ROAD] > 0:
        x = np.int64(node[fixed.n + v, NEXT])
        while True:
            at = np.int64(node[x, LEAVE] - node[x, SERVICE])
            if at > node[x, DUE]:
                cost += lateness(fixed.price, x, at)
            if x >= fixed.n:
                break
            x = np.int64(node[x, NEXT])
    live.total[COSTS] += cost - live.crew[v, LATENESS]
    live.crew[v, LATENESS] = cost


@tight(LIVE_TYPE, _I8, _I8, _I8)
def look_back(live, first, last, k):
    """The most on board from each node on, up to `last`: back to `first`."""
    load, x = live.load, last
    most = np.int64(load[last, k, 0])
    while True:
        most = max(most, np.int64(load[x, k, 0]))
        load[x, k, 2] = most
        if x == first:
            return
        x = np.int64(live.node[x, PREV])


@tight(FIXED_TYPE, LIVE_TYPE, _I8, returns=types.boolean)
def price_trips(fixed, live, v):
    """As `price_loads`, for a route with reloads: the most before and from there on is that of the trip from one to the next."""
    node, crew, load, price, n = live.node, live.crew, live.load, fixed.price, fixed.n
    x, loaded, good = np.int64(node[n + v, NEXT]), crew[v, LOADS] > 0, True
    while x < n:
        loaded = loaded or price[x, GOODS] == RELOAD
        good = good and (loaded or price[x, GOODS] != AT_DEPOT)
        x = np.int64(node[x, NEXT])
    for k in range(fixed.dimensions):
        capacity = crew[v, AMOUNTS + fixed.dimensions + k]
        first, on_board, gathered = n + v, np.int64(0), price[n + v, CHANGES + k]
        while True:
            x, joining = np.int64(node[first, NEXT]), np.int64(0)
            while x < n and price[x, GOODS] != RELOAD:
                joining += price[x, CHANGES + fixed.dimensions + k]
                x = np.int64(node[x, NEXT])
            beyond, last = x, first
            on_board += joining
            good = good and (joining == 0 or on_board <= capacity)
            most = on_board
            load[first, k, 0] = on_board
            load[first, k, 1] = most
            x = np.int64(node[first, NEXT])
            while x != beyond:
                change = price[x, CHANGES + k]
                on_board += change
                good = good and (change <= 0 or on_board <= capacity)
                if price[x, GOODS] == TO_DEPOT:
                    gathered += change
                most = max(most, on_board)
                load[x, k, 0] = on_board
                load[x, k, 1] = most
                last, x = x, np.int64(node[x, NEXT])
            look_back(live, first, last, k)
            if beyond >= n:
                load[beyond, k, 0] = on_board
                load[beyond, k, 1] = most
                load[beyond, k, 2] = on_board
                break
            on_board -= gathered
            gathered = np.int64(0)
            first = beyond
    return good


@tight(FIXED_TYPE, LIVE_TYPE, _I8, returns=types.boolean)
def price_loads(fixed, live, v):
    """Loads along a route, again. False if something a plan may change is over capacity."""
    if fixed.rules & RELOADED:
        return price_trips(fixed, live, v)
    node, crew, load, price = live.node, live.crew, live.load, fixed.price
    s, e = fixed.n + v, fixed.n + fixed.crews + v
    good = True
    for k in range(fixed.dimensions):
        capacity = crew[v, AMOUNTS + fixed.dimensions + k]
        x, joining = np.int64(node[s, NEXT]), np.int64(0)
        while x < fixed.n:
            joining += price[x, CHANGES + fixed.dimensions + k]
            x = np.int64(node[x, NEXT])
        on_board = joining
        if joining > 0 and on_board > capacity:
            good = False
        most = on_board
        load[s, k, 0] = on_board
        load[s, k, 1] = most
        x = np.int64(node[s, NEXT])
        while x < fixed.n:
            change = price[x, CHANGES + k]
            on_board += change
            if change > 0 and on_board > capacity:
                good = False
            most = max(most, on_board)
            load[x, k, 0] = on_board
            load[x, k, 1] = most
            x = np.int64(node[x, NEXT])
        load[e, k, 0] = on_board
        load[e, k, 1] = most
        load[e, k, 2] = on_board
        look_back(live, s, np.int64(node[e, PREV]), k)
    return good


@tight(FIXED_TYPE, LIVE_TYPE, _I8, types.boolean)
def pass_forward(fixed, live, x, force):
    """Times of leaving from x on, as far as they change."""
    node = live.node
    while True:
        i = node[x, PREV]
        at = begin(node, fixed.rows, x, np.int64(node[i, LEAVE]) + node[i, DRIVE])
        leave = at + node[x, SERVICE]
        if leave == node[x, LEAVE] and not force:
            return
        node[x, LEAVE] = leave
        force = False
        if x >= fixed.n:
            return
        x = np.int64(node[x, NEXT])


@tight(FIXED_TYPE, LIVE_TYPE, _I8, types.boolean)
def pass_backward(fixed, live, x, force):
    """Latest arrivals from x back, as far as they change."""
    node = live.node
    while True:
        j = node[x, NEXT]
        onward = np.int64(node[x, DRIVE]) + node[x, SERVICE]
        a = latest(node, fixed.rows, x, node[j, LATEST] - onward)
        b = a
        if fixed.soft:
            b = latest(node, fixed.rows, x, min(max(node[j, SLACK] - onward, -NEVER), np.int64(node[x, DUE])))
        if a == node[x, LATEST] and b == node[x, SLACK] and not force:
            return
        node[x, LATEST] = a
        node[x, SLACK] = b
        force = False
        if x >= fixed.n:
            return
        x = np.int64(node[x, PREV])


@tight(FIXED_TYPE, LIVE_TYPE, _I8, returns=types.boolean)
def within_limits(fixed, live, v):
    """Whether a route that has stops comes to no more than it may."""
    crew, far = live.crew, AMOUNTS + 2 * fixed.dimensions
    return crew[v, STOPS] == 0 or (crew[v, STOPS] <= crew[v, far + MOST_STOPS] and crew[v, far] <= crew[v, far + MOST]
                                   and crew[v, far + 1] <= crew[v, far + MOST + 1])  # fmt: skip


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, _I8)
def stretch(fixed, live, v, i, j, sign):
    """Add the leg from i to j to what a crew drives, or take it off."""
    a, b, far = live.node[i, LOC], live.node[j, LOC], AMOUNTS + 2 * fixed.dimensions
    live.crew[v, far] += sign * fixed.matrix[0, a, b, 4]
    live.crew[v, far + 1] += sign * fixed.matrix[0, a, b, 5]


@tight(FIXED_TYPE, LIVE_TYPE, _I8, returns=types.boolean)
def has_rests(fixed, live, v):
    """Whether a crew has breaks to take, or to rest from driving."""
    return (fixed.rules & LIMITED) > 0 and live.crew[v, AMOUNTS + 2 * fixed.dimensions + RESTS] >= 0


@tight(_I8, _I8, _I8, returns=_I8)
def interruptions(since, seconds, stretch):
    """How many rests a leg of so many seconds needs, after so many at the wheel."""
    return max(np.int64(0), (since + seconds + stretch - 1) // stretch - 1)


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, _I8, _I8, types.boolean, returns=_I8)
def rest_along(fixed, live, v, i, u, k, w, keep):
    """What lateness, and detours to rests, of a route with rests cost, or -1 if it breaks a rule; with u after i and w after k.

    Neither where they are -1. As `routing.solve.pauses` has it. To `keep` the times of leaving is for the route as it is.
    """
    node, rows, matrix, crew = live.node, fixed.rows, fixed.matrix, live.crew
    far = AMOUNTS + 2 * fixed.dimensions
    row = crew[v, far + RESTS]
    stretch, rest = np.int64(rows[row, 0]), np.int64(rows[row, 1])
    since, home = np.int64(rows[row + 1, 0]), rows[row + 1, 1] > 0
    row += 2
    used = crew[v, STOPS] > 0 or u >= 0
    p, x, following, extra = crew[v, PROFILE], fixed.n + v, np.int64(-1), np.int64(0)
    clock = np.int64(node[x, LEAVE])
    floor, spot, behind = clock, np.int64(node[x, LOC]), since  # from when and where on a plan could do otherwise
    metres, driven = np.int64(0), np.int64(0)
    while True:
        y = np.int64(node[x, NEXT])
        if x == i and u >= 0:
            following, i, y = y, np.int64(-1), u
        elif x == k and w >= 0:
            if x != u:
                following = y
            k, y = np.int64(-1), w
        elif following >= 0:
            y, following = following, np.int64(-1)
        a, b = np.int64(node[x, LOC]), np.int64(node[y, LOC])
        begins = a  # where the last leg to y begins
        if matrix[p, a, b, 2] >= NEVER:
            return np.int64(-1)
        while rows[row, 1] >= 0 and (y < fixed.n or home):
            drive, seconds = np.int64(matrix[p, begins, b, 2]), np.int64(matrix[0, begins, b, 5])
            soonest = clock + drive + interruptions(since, seconds, stretch) * rest
            first, last, length = np.int64(rows[row, 0]), np.int64(rows[row, 1]), np.int64(rows[row + 1, 0])
            break_at = np.int64(rows[row + 1, 1]) - 1
            if y < fixed.n:
                soonest = begin(node, fixed.rows, y, soonest)
                if soonest < 0:
                    return np.int64(-1)
            start, onward, back, possible, aside = clock, seconds, np.int64(0), floor, np.int64(0)
            if break_at >= 0:
                aside, onward = np.int64(matrix[0, begins, break_at, 5]), np.int64(matrix[0, break_at, b, 5])
                start += aside + interruptions(since, aside, stretch) * rest
                back = np.int64(matrix[0, b, break_at, 5]) if y < fixed.n else np.int64(0)
                way = np.int64(matrix[0, spot, break_at, 5])
                possible += way + interruptions(behind, way, stretch) * rest
            start = max(start, first)
            if not (start <= last and start + length + onward <= soonest) and soonest + node[y, SERVICE] + back <= last:
                break
            if used and start > max(last, possible):
                return np.int64(-1)
            if break_at >= 0:
                since += aside - interruptions(since, aside, stretch) * stretch
                extra += matrix[p, begins, break_at, 0]
                metres += matrix[0, begins, break_at, 4]
                driven += aside
                begins = break_at
            clock = start + length
            row += 2
            if length >= rest:
                since = np.int64(0)
            if start == possible:
                floor, spot, behind = clock, begins, since
        drive, seconds = np.int64(matrix[p, begins, b, 2]), np.int64(matrix[0, begins, b, 5])
        if drive >= NEVER:
            return np.int64(-1)
        if y < fixed.n or home:
            stands = interruptions(since, seconds, stretch)
            since += seconds - stands * stretch
            drive += stands * rest
        if begins != a:
            extra += np.int64(matrix[p, begins, b, 0]) - matrix[p, a, b, 0]
        metres += matrix[0, begins, b, 4]
        driven += seconds
        at = begin(node, fixed.rows, y, clock + drive)
        if at < 0:
            return np.int64(-1)
        if at > node[y, DUE]:
            extra += lateness(fixed.price, y, at)
        clock = at + node[y, SERVICE]
        if keep:
            node[y, LEAVE] = clock
        if y >= fixed.n:
            if used and (metres > crew[v, far + MOST] or driven > crew[v, far + MOST + 1]):
                return np.int64(-1)
            return extra if used or crew[v, ROAD] > 0 else np.int64(0)
        x = y


@tight(FIXED_TYPE, LIVE_TYPE, _I8, returns=types.boolean)
def retime(fixed, live, v):
    """Times, lateness and loads of a whole route, again. False if it breaks a hard limit."""
    node = live.node
    s, e = fixed.n + v, fixed.n + fixed.crews + v
    x = np.int64(node[s, NEXT])
    resting = has_rests(fixed, live, v)
    if resting:
        extra = rest_along(fixed, live, v, -1, -1, -1, -1, True)
        if extra < 0:
            return False
        live.total[COSTS] += extra - live.crew[v, LATENESS]
        live.crew[v, LATENESS] = extra
    else:
        while True:
            i = node[x, PREV]
            at = begin(node, fixed.rows, x, np.int64(node[i, LEAVE]) + node[i, DRIVE])
            if at < 0:
                return False
            node[x, LEAVE] = at + node[x, SERVICE]
            if x == e:
                break
            x = np.int64(node[x, NEXT])
    x = np.int64(node[e, PREV])
    while True:
        j = node[x, NEXT]
        onward = np.int64(node[x, DRIVE]) + node[x, SERVICE]
        a = latest(node, fixed.rows, x, node[j, LATEST] - onward)
        node[x, LATEST] = a
        if fixed.soft:
            a = latest(node, fixed.rows, x, min(max(node[j, SLACK] - onward, -NEVER), np.int64(node[x, DUE])))
        node[x, SLACK] = a
        if x == s:
            break
        x = np.int64(node[x, PREV])
    if fixed.soft and not resting:
        price_lateness(fixed, live, v)
    if fixed.rules & LIMITED and not within_limits(fixed, live, v):
        return False
    return price_loads(fixed, live, v) if fixed.mixed else True


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8)
def connect(fixed, live, i, j):
    """Let j follow i, and price that leg; `i` is in a route already."""
    node = live.node
    v = np.int64(node[i, CREW])
    node[i, NEXT] = j
    node[j, PREV] = i
    p, a, b = live.crew[v, PROFILE], node[i, LOC], node[j, LOC]
    cost = np.int64(fixed.matrix[p, a, b, 0])
    if fixed.stable:
        cost += change_price(fixed.n, node, fixed.price, v, i, j)
    node[i, COST] = cost
    node[i, DRIVE] = fixed.matrix[p, a, b, 2]
    if fixed.rules & LIMITED:
        stretch(fixed, live, v, i, j, 1)


@tight(FIXED_TYPE, LIVE_TYPE, _I8)
def touch(fixed, live, v):
    """Save a route before it changes, once per iteration."""
    node, crew, total = live.node, live.crew, live.total
    if crew[v, STAMP] == total[STAMP_NOW]:
        return
    crew[v, STAMP] = total[STAMP_NOW]
    row = total[TOUCHED]
    live.lists[CHANGED, row] = v
    total[TOUCHED] = row + 1
    live.saved_crew[row, 0] = crew[v, STOPS]
    live.saved_crew[row, 1] = crew[v, LATENESS]
    live.saved_crew[row, 2] = crew[v, MOVES]
    for k in range(fixed.dimensions):
        live.saved_crew[row, 3 + k] = crew[v, AMOUNTS + k]
    for r in range(2 if fixed.rules & LIMITED else 0):
        live.saved_crew[row, 3 + fixed.dimensions + r] = crew[v, AMOUNTS + 2 * fixed.dimensions + r]
    saved, b = live.saved, total[SAVED]
    x, e = fixed.n + v, fixed.n + fixed.crews + v
    while True:
        saved[b, 8] = x
        for k in range(8):
            saved[b, k] = node[x, k]
        b += 1
        if x == e:
            break
        x = np.int64(node[x, NEXT])
    total[SAVED] = b


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8)
def shift_moves(fixed, live, u, v, change):
    """Keep the number of stops that changed hands, on both sides."""
    owner = np.int64(live.node[u, OWNER])
    if owner >= 0 and owner != v:
        touch(fixed, live, owner)
        live.crew[v, MOVES] += change
        live.crew[owner, MOVES] += change


@tight(FIXED_TYPE, LIVE_TYPE, _I8)
def unlink(fixed, live, u):
    """Take a task out of its route. The route's times, lateness and loads are left to `retime`."""
    node, crew, total = live.node, live.crew, live.total
    v, i, j = np.int64(node[u, CREW]), np.int64(node[u, PREV]), np.int64(node[u, NEXT])
    before = np.int64(node[i, COST]) + node[u, COST]
    if fixed.rules & LIMITED:
        stretch(fixed, live, v, i, u, -1)
        stretch(fixed, live, v, u, j, -1)
    connect(fixed, live, i, j)
    count(fixed, live, v, -1)
    if crew[v, STOPS] == 0:
        before += crew[v, FIXED]
        node[i, COST] = crew[v, BASE]
    if fixed.stable:
        shift_moves(fixed, live, u, v, -1)
    for k in range(fixed.dimensions):
        crew[v, AMOUNTS + k] -= abs(fixed.price[u, CHANGES + k])
    node[u, CREW] = -1
    total[COSTS] += node[i, COST] - before + fixed.price[u, LEFT_OUT]


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8)
def join(fixed, live, u, i):
    """Put a task after node i; the route's times are left to the caller."""
    node, crew, total = live.node, live.crew, live.total
    v, j = np.int64(node[i, CREW]), np.int64(node[i, NEXT])
    before = np.int64(node[i, COST])
    if fixed.rules & LIMITED:
        stretch(fixed, live, v, i, j, -1)
    node[u, CREW] = v
    connect(fixed, live, i, u)
    connect(fixed, live, u, j)
    after = np.int64(node[i, COST]) + node[u, COST]
    if crew[v, STOPS] == 0:
        after += crew[v, FIXED]
    count(fixed, live, v, 1)
    if fixed.stable:
        shift_moves(fixed, live, u, v, 1)
    for k in range(fixed.dimensions):
        crew[v, AMOUNTS + k] += abs(fixed.price[u, CHANGES + k])
    total[COSTS] += after - before - fixed.price[u, LEFT_OUT]


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8)
def link(fixed, live, u, i):
    """Put a task after node i, and keep the route's times, lateness and loads."""
    join(fixed, live, u, i)
    pass_forward(fixed, live, u, True)
    pass_backward(fixed, live, u, True)
    v = np.int64(live.node[u, CREW])
    if fixed.soft:
        price_lateness(fixed, live, v)
    if fixed.mixed:
        price_loads(fixed, live, v)


@tight(FIXED_TYPE, LIVE_TYPE)
def restore(fixed, live):
    """Back to the routes as they were saved."""
    node, saved, total, crew = live.node, live.saved, live.total, live.crew
    for x in range(fixed.n - 1 if fixed.rules & RELOADED else -1, -1, -1):  # those that were not there are in no list
        if fixed.price[x, GOODS] != RELOAD:
            break
        if node[x, CREW] >= 0 and crew[node[x, CREW], STAMP] == total[STAMP_NOW]:
            node[x, CREW] = -1
    for b in range(total[SAVED]):
        x = saved[b, 8]
        for k in range(8):
            node[x, k] = saved[b, k]
    for row in range(total[TOUCHED]):
        v = np.int64(live.lists[CHANGED, row])
        count(fixed, live, v, live.saved_crew[row, 0] - crew[v, STOPS])
        crew[v, LATENESS] = live.saved_crew[row, 1]
        crew[v, MOVES] = live.saved_crew[row, 2]
        for k in range(fixed.dimensions):
            crew[v, AMOUNTS + k] = live.saved_crew[row, 3 + k]
        for r in range(2 if fixed.rules & LIMITED else 0):
            crew[v, AMOUNTS + 2 * fixed.dimensions + r] = live.saved_crew[row, 3 + fixed.dimensions + r]
        if fixed.mixed:
            price_loads(fixed, live, v)


# ---------------------------------------------------------------- insertion


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, _I8, returns=_I8)
def excess(fixed, live, u, i, j, v):
    """By how much u between i and j would put the first dimension that it does over what v can hold; 0 if it fits."""
    price, crew = fixed.price, live.crew
    for k in range(fixed.dimensions):
        change = price[u, CHANGES + k]
        if change == 0:
            continue
        capacity = crew[v, AMOUNTS + fixed.dimensions + k]
        if not fixed.mixed:
            over = crew[v, AMOUNTS + k] + abs(change) - capacity
        elif change > 0:
            over = np.int64(live.load[i, k, 0])
            if price[j, GOODS] != RELOAD:
                over = max(over, np.int64(live.load[j, k, 2]))
            over += change - capacity
        else:
            joining = price[u, CHANGES + fixed.dimensions + k]
            over = live.load[i, k, 1] + joining - capacity if joining > 0 else np.int64(0)
        if over > 0:
            return over
    return np.int64(0)


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, _I8, _I8, returns=types.boolean)
def too_much(fixed, live, v, i, u, k, w):
    """Whether u after i, and w after k (-1: neither; u itself: at once), make a route come to more than it may."""
    node, crew, legs, far = live.node, live.crew, fixed.matrix[0], AMOUNTS + 2 * fixed.dimensions
    if crew[v, STOPS] + (1 if w < 0 else 2) > crew[v, far + MOST_STOPS]:
        return True
    li, lu, lj = node[i, LOC], node[u, LOC], node[node[i, NEXT], LOC]
    for r in range(4, 6):
        whole = crew[v, far + r - 4] - legs[li, lj, r] + np.int64(legs[li, lu, r])
        if w < 0:
            whole += legs[lu, lj, r]
        elif k == u:
            whole += legs[lu, node[w, LOC], r] + np.int64(legs[node[w, LOC], lj, r])
        else:
            lk, lw, ly = node[k, LOC], node[w, LOC], node[node[k, NEXT], LOC]
            whole += legs[lu, lj, r] - legs[lk, ly, r] + legs[lk, lw, r] + np.int64(legs[lw, ly, r])
        if whole > crew[v, far + MOST + r - 4]:
            return True
    return False


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, returns=types.boolean)
def allowed(fixed, live, u, v):
    """Whether v may take u at all."""
    if fixed.barred and fixed.bar[v, u] > 0:
        return False
    if fixed.stable:
        owner = np.int64(live.node[u, OWNER])
        if owner >= 0 and owner != v:
            return live.crew[v, MOVES] < live.crew[v, MOST_MOVES] and live.crew[owner, MOVES] < live.crew[owner, MOST_MOVES]
    return True


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, _I8, _I8, returns=types.boolean)
def in_their_places(fixed, live, v, i, u, k, w):
    """Whether the stops of v that are pinned to a position would be there with u after i, and w after k (-1: neither).

    Nothing is beyond its position, and where the route is too short to reach it, only pinned stops follow. An insertion is
    asked of the pinned stops that it concerns, the whole route otherwise.
    """
    node, price = live.node, fixed.price
    at, short, mine = live.crew[v, BEHIND], False, u < 0
    x, following = fixed.n + v, np.int64(-1)
    while True:
        if x == i and u >= 0:
            following, i = np.int64(node[x, NEXT]), np.int64(-1)
            x = u
        elif x == k and w >= 0:
            if x != u:
                following = np.int64(node[x, NEXT])
            k = np.int64(-1)
            x = w
        elif following >= 0:
            x, following = following, np.int64(-1)
        else:
            x = np.int64(node[x, NEXT])
        if x >= fixed.n:
            return True
        at += 1
        number = price[x, NUMBER]
        if number == 0:
            if short and (mine or x in (u, w)):
                return False
        elif number < END:
            number = max(number, live.crew[v, BEHIND] + 1)
            if at > number:
                return False
            if at < number:
                short = True
                mine = mine or x in (u, w)


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, returns=types.boolean)
def behind(fixed, live, x, i):
    """Whether x is i, or is visited before it."""
    while i != x and i < fixed.n:
        i = np.int64(live.node[i, PREV])
    return i == x


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, _I8, _I8, returns=types.boolean)
def torn(fixed, live, v, u, i, j, x):
    """Whether u on v, between i and j, breaks a relation of its own, or comes between two that belong behind each other.

    x is the last node before u that is in the route already.
    """
    node, rows, price = live.node, fixed.rows, fixed.price
    row = price[u, MATES]
    while row >= 0 and rows[row, 0] >= 0:
        relation, other = rows[row, 0], np.int64(rows[row, 1])
        row += 1
        if relation == BEHIND_IT:
            if i != other:
                return True
            continue
        on = np.int64(node[other, CREW])
        if on < 0:
            continue
        if (on == v) == (relation == APART):
            return True
        if relation == IN_FRONT and j != other:
            return True
        if relation == AFTER and not behind(fixed, live, other, x):
            return True
        if relation == AHEAD and behind(fixed, live, other, x):
            return True
    row = price[j, MATES] if j < fixed.n else np.int64(-1)
    while row >= 0 and rows[row, 0] >= 0:
        if rows[row, 0] == BEHIND_IT and rows[row, 1] != u:
            return True
        row += 1
    return False


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, _I8, _I8, returns=types.boolean)
def in_their_trips(fixed, live, v, i, u, k, w):
    """Whether goods from the depot, or for it, can be aboard with u after i; and with a reload u after i and w after k."""
    node, price, crew, n, load = live.node, fixed.price, live.crew, fixed.n, live.load
    if price[u, GOODS] == AT_DEPOT:
        x = i
        while x < n and price[x, GOODS] != RELOAD:
            x = np.int64(node[x, PREV])
        return x < n or crew[v, LOADS] > 0
    if price[u, GOODS] != RELOAD or w < 0:
        return True
    for c in range(fixed.dimensions):
        more = abs(price[w, CHANGES + c])
        if more == 0:
            continue
        x, most = i, crew[v, AMOUNTS + fixed.dimensions + c] - more
        while True:  # what was collected before stays at the depot
            if x >= n or price[x, GOODS] == TO_DEPOT:
                most += price[x, CHANGES + c]
            if x >= n or price[x, GOODS] == RELOAD:
                break
            x = np.int64(node[x, PREV])
        if price[w, GOODS] == AT_DEPOT:  # aboard from the reload to there
            x = i
            while load[x, c, 0] <= most and x != k and k != u:
                x = np.int64(node[x, NEXT])
            if load[x, c, 0] > most:
                return False
        else:  # aboard from there on
            x = i if k == u else k
            while True:
                if load[x, c, 0] > most:
                    return False
                x = np.int64(node[x, NEXT])
                if x >= n or price[x, GOODS] == RELOAD:
                    break
    return True


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, _I8, _I8, returns=types.boolean)
def breaks_a_rule(fixed, live, v, i, u, k, w):
    """Whether u after i, and w after k (-1: neither; u itself: at once), break one of the rules that plain problems have not."""
    if fixed.rules & RELOADED and not in_their_trips(fixed, live, v, i, u, k, w):
        return True
    if fixed.rules & LIMITED and too_much(fixed, live, v, i, u, k, w):
        return True
    if fixed.rules & NUMBERED and not in_their_places(fixed, live, v, i, u, k, w):
        return True
    if fixed.rules & RELATED:
        j = np.int64(live.node[i, NEXT])
        if torn(fixed, live, v, u, i, w if k == u and w >= 0 else j, i):
            return True
        if w >= 0:
            return torn(fixed, live, v, w, k, j, i) if k == u else torn(fixed, live, v, w, k, np.int64(live.node[k, NEXT]), k)
    return False


@tight(FIXED_TYPE, LIVE_TYPE, _I8, returns=types.boolean)
def keeps_rules(fixed, live, v):
    """Whether a route keeps those of them that depend on the order of its stops."""
    if fixed.rules & NUMBERED and not in_their_places(fixed, live, v, -1, -1, -1, -1):
        return False
    x = np.int64(live.node[fixed.n + v, NEXT]) if fixed.rules & RELATED else fixed.n
    while x < fixed.n:
        i = np.int64(live.node[x, PREV])
        if torn(fixed, live, v, x, i, np.int64(live.node[x, NEXT]), i):
            return False
        x = np.int64(live.node[x, NEXT])
    return True


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, _I8, returns=_I8)
def added_lateness(fixed, live, j, arrive, d, best):
    """What arriving at j then adds to the lateness from there on, or takes from it; stops counting above `best`."""
    node = live.node
    x, a = np.int64(j), np.int64(arrive)
    while d < best:
        at = begin(node, fixed.rows, x, a)
        if x >= fixed.n:
            v = x - fixed.n - fixed.crews
            if live.crew[v, STOPS] == 0 and live.crew[v, ROAD] == 0:  # who stays at home is not late there
                return d + lateness(fixed.price, x, at)
        old = np.int64(node[x, LEAVE] - node[x, SERVICE])
        if at == old or at < 0:
            break
        if max(at, old) > node[x, DUE]:
            d += lateness(fixed.price, x, at) - lateness(fixed.price, x, old)
        if x >= fixed.n:
            break
        a = at + node[x, SERVICE] + node[x, DRIVE]
        x = np.int64(node[x, NEXT])
    return d


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, _I8, returns=_I8)
def insertion(fixed, live, u, i, v, best):
    """The price of u after i on v, or `NO` if it breaks a rule or costs `best` or more."""
    node, crew = live.node, live.crew
    j, p = np.int64(node[i, NEXT]), crew[v, PROFILE]
    lu, li, lj = node[u, LOC], node[i, LOC], node[j, LOC]
    d = np.int64(fixed.matrix[p, lu, li, 1]) + np.int64(fixed.matrix[p, lu, lj, 0]) - node[i, COST]
    if fixed.stable:
        d += change_price(fixed.n, node, fixed.price, v, i, u) + change_price(fixed.n, node, fixed.price, v, u, j)
    if crew[v, STOPS] == 0:
        d += crew[v, FIXED]
    if d >= best:
        return np.int64(NO)
    arrive = np.int64(node[i, LEAVE]) + fixed.matrix[p, lu, li, 3]
    at = begin(node, fixed.rows, u, arrive)
    if at < 0:
        return np.int64(NO)
    onward = at + node[u, SERVICE] + fixed.matrix[p, lu, lj, 2]
    if onward > node[j, LATEST]:
        return np.int64(NO)
    if not allowed(fixed, live, u, v) or excess(fixed, live, u, i, j, v) > 0:
        return np.int64(NO)
    if fixed.rules > 0:
        if breaks_a_rule(fixed, live, v, i, u, -1, -1):
            return np.int64(NO)
        if has_rests(fixed, live, v):
            late = rest_along(fixed, live, v, i, u, -1, -1, False)
            d += late - crew[v, LATENESS]
            return d if late >= 0 and d < best else np.int64(NO)
    if fixed.soft:
        if at > node[u, DUE]:
            d += lateness(fixed.price, u, at)
        if onward > node[j, SLACK] or onward < np.int64(node[i, LEAVE]) + node[i, DRIVE]:  # no set-up at u's own address
            d = added_lateness(fixed, live, j, onward, d, best)
        if d >= best:
            return np.int64(NO)
    return d


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, returns=_FOUND)
def scan_route(fixed, live, u, v, best):
    """The best place in one route: price, predecessor (-1 for none), crew."""
    found = np.int64(-1)
    i = fixed.n + v
    while True:
        d = insertion(fixed, live, u, i, v, best)
        if d < best:
            best, found = d, i
        i = np.int64(live.node[i, NEXT])
        if i >= fixed.n:
            break
    return best, found, v


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _F8, returns=_FOUND)
def scan_near(fixed, live, u, best, blink):
    """The best place next to a near neighbour, now and then overlooking one (`blink` is log(1 - rate))."""
    node, matrix, near, random = live.node, fixed.matrix, fixed.near, live.random
    found, by = np.int64(-1), np.int64(-1)
    lu = np.int64(node[u, LOC])
    closes, opens, service = np.int64(node[u, CLOSE]), np.int64(node[u, OPEN]), np.int64(node[u, SERVICE])
    one = matrix.shape[0] == 1
    gap = np.int64(1 << 30)
    if blink < 0:
        gap = np.int64(math.log(uniform(random) + 1e-300) / blink)
    for k in range(near.shape[1]):
        x = np.int64(near[u, k, 0])
        v = np.int64(node[x, CREW])
        if v < 0:
            continue
        gap -= 1
        if gap < 0:
            gap = np.int64(math.log(uniform(random) + 1e-300) / blink)
            continue
        i = np.int64(node[x, PREV])
        after, before = best + node[x, COST], best + node[i, COST]
        go_after, go_before = near[u, k, 1] < after, near[u, k, 2] < before  # legs between x and u alone, in any profile
        if not (go_after or go_before):
            continue
        p = np.int64(0) if one else live.crew[v, PROFILE]
        lx = np.int64(node[x, LOC])
        if go_after:
            arrive = np.int64(node[x, LEAVE]) + matrix[p, lu, lx, 3]
            if arrive <= closes:
                j = np.int64(node[x, NEXT])
                lj = np.int64(node[j, LOC])
                if (max(arrive, opens) + service + matrix[p, lu, lj, 2] <= node[j, LATEST]
                        and np.int64(matrix[p, lu, lx, 1]) + matrix[p, lu, lj, 0] < after):  # fmt: skip
                    d = insertion(fixed, live, u, x, v, best)
                    if d < best:
                        best, found, by = d, x, v
        if go_before and opens + service + matrix[p, lu, lx, 2] <= node[x, LATEST]:
            li = np.int64(node[i, LOC])
            arrive = np.int64(node[i, LEAVE]) + matrix[p, lu, li, 3]
            if (arrive <= closes and max(arrive, opens) + service + matrix[p, lu, lx, 2] <= node[x, LATEST]
                    and np.int64(matrix[p, lu, lx, 0]) + matrix[p, lu, li, 1] < before):  # fmt: skip
                d = insertion(fixed, live, u, i, v, best)
                if d < best:
                    best, found, by = d, i, v
    return best, found, by


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _F8, types.boolean, returns=_FOUND)
def best_place(fixed, live, u, blink, everywhere):
    """Price, predecessor (-1: better left out) and crew for a task."""
    best, found, by = fixed.price[u, LEFT_OUT], np.int64(-1), np.int64(-1)
    for kind in range(fixed.kinds):  # unused crews first: a good bound spares most of the rest
        v = live.total[SPARE + kind]
        if v >= 0:
            d = insertion(fixed, live, u, fixed.n + v, v, best)
            if d < best:
                best, found, by = d, fixed.n + v, v
    if not everywhere:
        d, i, v = scan_near(fixed, live, u, best, blink)
        if i >= 0:
            return d, i, v
        if fixed.stable:  # where it has been
            v = np.int64(live.node[u, OWNER])
            if v >= 0 and live.crew[v, STOPS] > 0:
                d, i, v = scan_route(fixed, live, u, v, best)
                if i >= 0:
                    return d, i, v
        return best, found, by
    for v in range(fixed.crews):
        if live.crew[v, STOPS] > 0:
            d, i, v = scan_route(fixed, live, u, v, best)
            if i >= 0:
                best, found, by = d, i, v
    return best, found, by


# ---------------------------------------------------------------- pairs


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, returns=_FOUND_PAIR)
def scan_route_pair(fixed, live, u, v, best):
    """The best places of a pickup u and its delivery in one route: price, both predecessors, crew.

    The second predecessor is u itself where the delivery follows at once.
    """
    node, crew, price, matrix, load = live.node, live.crew, fixed.price, fixed.matrix, live.load
    w = price[u, PAIR]
    n, p = fixed.n, crew[v, PROFILE]
    first, second = np.int64(-1), np.int64(-1)
    lu, lw = np.int64(node[u, LOC]), np.int64(node[w, LOC])
    if not allowed(fixed, live, u, v) or not allowed(fixed, live, w, v):
        return best, first, second, v
    if fixed.stable:  # both halves may count as moved
        a, b = np.int64(node[u, OWNER]), np.int64(node[w, OWNER])
        both = a >= 0 and b >= 0 and a != v and b != v
        if both and (crew[v, MOVES] + 2 > crew[v, MOST_MOVES] or (a == b and crew[a, MOVES] + 2 > crew[a, MOST_MOVES])):
            return best, first, second, v
    i, resting = n + v, has_rests(fixed, live, v)
    soft = fixed.soft and not resting
    while i < n or i == n + v:
        j = np.int64(node[i, NEXT])
        li = np.int64(node[i, LOC])
        at_u = begin(node, fixed.rows, u, np.int64(node[i, LEAVE]) + matrix[p, lu, li, 3])
        base = np.int64(matrix[p, lu, li, 1]) - node[i, COST]
        if crew[v, STOPS] == 0:
            base += crew[v, FIXED]
        if fixed.stable:
            base += change_price(n, node, price, v, i, u)
        good = at_u >= 0
        if good:
            for k in range(fixed.dimensions):
                if price[u, CHANGES + k] > 0 and load[i, k, 0] + price[u, CHANGES + k] > crew[v, AMOUNTS + fixed.dimensions + k]:
                    good = False
        if good and soft and at_u > node[u, DUE]:
            base += lateness(price, u, at_u)
        if good:
            # x is the node the delivery would follow, left at `leave`; `cost` is that of everything up to leaving x
            x, leave, cost = np.int64(u), at_u + node[u, SERVICE], base
            y = j
            while True:
                lx, ly = np.int64(node[x, LOC]), np.int64(node[y, LOC])
                d = cost + matrix[p, lw, lx, 1] + matrix[p, lw, ly, 0]
                if x != u:
                    d -= node[x, COST]
                if fixed.stable:
                    d += change_price(n, node, price, v, x, w) + change_price(n, node, price, v, w, y)
                if d < best:
                    at_w = begin(node, fixed.rows, w, leave + matrix[p, lw, lx, 3])
                    if at_w >= 0:
                        onward = at_w + node[w, SERVICE] + matrix[p, lw, ly, 2]
                        if onward <= node[y, LATEST]:
                            if soft:
                                if at_w > node[w, DUE]:
                                    d += lateness(price, w, at_w)
                                if onward > node[y, SLACK] or onward < np.int64(node[y, LEAVE] - node[y, SERVICE]):
                                    d = added_lateness(fixed, live, y, onward, d, best)
                            if d < best and not (fixed.rules > 0 and breaks_a_rule(fixed, live, v, i, u, x, w)):
                                late = rest_along(fixed, live, v, i, u, x, w, False) if resting else crew[v, LATENESS]
                                if late >= 0 and d + late - crew[v, LATENESS] < best:
                                    best, first, second = d + late - crew[v, LATENESS], i, x
                # on to y with the goods on board
                if y >= n or (price[u, GOODS] == RELOAD and price[y, GOODS] == RELOAD):
                    break
                good = True
                for k in range(fixed.dimensions):
                    change = price[u, CHANGES + k]
                    if change > 0 and load[y, k, 0] + change > crew[v, AMOUNTS + fixed.dimensions + k]:
                        good = False
                arrive = leave + matrix[p, lx, ly, 2]
                if not good or arrive > node[y, LATEST]:
                    break
                at = begin(node, fixed.rows, y, arrive)
                if x == u:
                    cost += matrix[p, lx, ly, 0]
                    if fixed.stable:
                        cost += change_price(n, node, price, v, x, y)
                old = np.int64(node[y, LEAVE] - node[y, SERVICE])
                if soft and max(at, old) > node[y, DUE]:
                    cost += lateness(price, y, at) - lateness(price, y, old)
                leave = at + node[y, SERVICE]
                x, y = y, np.int64(node[y, NEXT])
        i = j
    return best, first, second, v


@tight(FIXED_TYPE, LIVE_TYPE, _I8, types.boolean, returns=_FOUND_PAIR)
def best_places(fixed, live, u, everywhere):
    """As `best_place`, for a pickup and its delivery."""
    node, crew, total = live.node, live.crew, live.total
    best, first, second, by = fixed.price[u, LEFT_OUT], np.int64(-1), np.int64(-1), np.int64(-1)
    total[CALL] += 1
    for kind in range(fixed.kinds):
        v = total[SPARE + kind]
        if v >= 0:
            d, a, b, v = scan_route_pair(fixed, live, u, v, best)
            if a >= 0:
                best, first, second, by = d, a, b, v
    if everywhere:
        for v in range(fixed.crews):
            if crew[v, STOPS] > 0:
                d, a, b, v = scan_route_pair(fixed, live, u, v, best)
                if a >= 0:
                    best, first, second, by = d, a, b, v
        return best, first, second, by
    for half in range(2):  # routes that pass near either place, or that had it
        x = u if half == 0 else fixed.price[u, PAIR]
        for k in range(-1, fixed.near.shape[1]):
            v = np.int64(node[x, OWNER]) if k < 0 else np.int64(node[fixed.near[x, max(k, 0), 0], CREW])
            if v < 0 or crew[v, STOPS] == 0 or crew[v, TRIED] == total[CALL]:
                continue
            crew[v, TRIED] = total[CALL]
            d, a, b, v = scan_route_pair(fixed, live, u, v, best)
            if a >= 0:
                best, first, second, by = d, a, b, v
    return best, first, second, by


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _I8, returns=_FOUND_PAIR)
def scan_route_reload(fixed, live, u, v, best):
    """The best places in one route of a reload that is not in it yet, and of a task behind that.

    Price, both predecessors, and the reload (-1: there is none, or no place).
    """
    price, r = fixed.price, np.int64(-1)
    if fixed.rules & RELOADED and price[u, GOODS] in (AT_DEPOT, TO_DEPOT):
        for x in range(fixed.n - 1, -1, -1):
            if price[x, GOODS] != RELOAD:
                break
            if live.node[x, CREW] < 0 and fixed.bar[v, x] == 0:
                r = np.int64(x)
    if r < 0:
        return best, r, r, r
    price[r, PAIR] = u
    d, first, second, _v = scan_route_pair(fixed, live, r, v, best)
    price[r, PAIR] = -1
    return d, first, second, r if first >= 0 else np.int64(-1)


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, returns=types.boolean)
def place_with_reload(fixed, live, u, bound):
    """Put a task behind a reload that comes with it, where that costs less than `bound`; False if it is nowhere."""
    best, by, first, second, reload = bound, np.int64(-1), np.int64(-1), np.int64(-1), np.int64(-1)
    for v in range(fixed.crews):
        d, i, k, r = scan_route_reload(fixed, live, u, v, best)
        if r >= 0:
            best, by, first, second, reload = d, np.int64(v), i, k, r
    if by < 0:
        return False
    touch(fixed, live, by)
    join(fixed, live, reload, first)
    join(fixed, live, u, second)
    retime(fixed, live, by)
    return True


@tight(FIXED_TYPE, LIVE_TYPE, _I8)
def drop_reloads(fixed, live, v):
    """Take the reloads out of a route that can do without them; not those by which stops, they too, have the numbers they must."""
    node, last = live.node, fixed.n + v
    x = np.int64(node[last, NEXT])
    while x < fixed.n:
        if 0 < fixed.price[x, NUMBER] < END:
            last = x
        x = np.int64(node[x, NEXT])
    x = np.int64(node[last, NEXT])
    while x < fixed.n:
        onward = np.int64(node[x, NEXT])
        if fixed.price[x, GOODS] == RELOAD:
            i = np.int64(node[x, PREV])
            before = live.total[COSTS]
            unlink(fixed, live, x)
            if not (retime(fixed, live, v) and live.total[COSTS] <= before):
                join(fixed, live, x, i)
                retime(fixed, live, v)
        x = onward


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _F8, types.boolean, returns=types.boolean)
def place(fixed, live, u, blink, everywhere):
    """Put a task, or a pickup with its delivery, where it costs least; False if it is better, or must be, left out."""
    if fixed.price[u, PAIR] < 0:
        best, i, v = best_place(fixed, live, u, blink, everywhere)
        if fixed.rules & RELOADED and (i < 0 or uniform(live.random) < 0.1) and place_with_reload(
                fixed, live, u, fixed.price[u, LEFT_OUT] if i < 0 else best):  # fmt: skip
            return True
        if i < 0:
            return False
        touch(fixed, live, v)
        link(fixed, live, u, i)
        if has_rests(fixed, live, v):
            retime(fixed, live, v)
        return True
    _, i, k, v = best_places(fixed, live, u, everywhere)
    if i < 0:
        return False
    touch(fixed, live, v)
    join(fixed, live, u, i)
    join(fixed, live, fixed.price[u, PAIR], k)
    retime(fixed, live, v)
    return True


# ---------------------------------------------------------------- ruin and recreate


@tight(FIXED_TYPE, LIVE_TYPE, _I8, returns=types.boolean)
def open_route(fixed, live, u):
    """Put a task alone on an unused crew, whatever that costs: a price no greedy insertion would pay."""
    if fixed.price[u, PAIR] >= 0:
        return False
    for kind in range(fixed.kinds):
        v = live.total[SPARE + kind]
        if v >= 0 and insertion(fixed, live, u, fixed.n + v, v, np.int64(NO)) < NO:
            touch(fixed, live, v)
            join(fixed, live, u, fixed.n + v)
            retime(fixed, live, v)
            return True
    return False


@tight(LIVE_TYPE, write(_F8, 2), _I8, _F8)
def arrange(live, key, m, order):
    """Sort the m tasks in GONE by one of the first rows of `key` (6, n); the last is room for what they are sorted by.

    `order` chooses what they are sorted by: below 4 chance, below 8 demand, then far, near, narrow, early and late ones.
    """
    gone, rank, random = live.lists[GONE], key[5], live.random
    for t in range(m):
        u = gone[t]
        if order < 4:
            rank[t] = uniform(random)
        elif order < 8:
            rank[t] = -key[0, u]
        elif order < 10:
            rank[t] = -key[1, u]
        elif order < 11:
            rank[t] = key[1, u]
        elif order < 13:
            rank[t] = key[2, u]
        elif order < 15:
            rank[t] = key[3, u]
        else:
            rank[t] = -key[4, u]
    gap = 1
    while gap < m // 9:
        gap = 3 * gap + 1
    while gap > 0:  # shell sort, in place
        for a in range(gap, m):
            r, u = rank[a], gone[a]
            b = a - gap
            while b >= 0 and rank[b] > r:
                rank[b + gap] = rank[b]
                gone[b + gap] = gone[b]
                b -= gap
            rank[b + gap] = r
            gone[b + gap] = u
        gap //= 3


@tight(FIXED_TYPE, LIVE_TYPE, write(_F8, 2), _I8, _I8, _I8)
def chain(fixed, live, key, first, last, m):
    """Put the m tasks in GONE into a chain, from place `first` to before `last`: the farthest, and then always the nearest left.

    Put into routes in that order, neighbours find each other, and routes have a shape from the beginning.
    """
    gone, node, matrix = live.lists[GONE], live.node, fixed.matrix
    for t in range(first, min(last, m)):
        best, nearest_ = NO, t
        for r in range(t, m):
            at = -np.int64(key[1, gone[r]]) if t == 0 else np.int64(matrix[0, node[gone[t - 1], LOC], node[gone[r], LOC], 0])
            if at < best:
                best, nearest_ = at, r
        gone[t], gone[nearest_] = gone[nearest_], gone[t]


@tight(FIXED_TYPE, LIVE_TYPE, _I8, returns=types.boolean)
def waits(fixed, live, u):
    """Whether a task comes behind another, that is in no route."""
    row = fixed.price[u, MATES]
    while row >= 0 and fixed.rows[row, 0] >= 0:
        if ((fixed.rows[row, 0] == BEHIND_IT or fixed.rows[row, 0] == AFTER) and fixed.rows[row, 1] < fixed.n
                and live.node[fixed.rows[row, 1], CREW] < 0):  # fmt: skip
            return True
        row += 1
    return False


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _F8, types.boolean, _F8)
def recreate(fixed, live, first, last, blink, everywhere, opening):
    """Put the tasks in GONE from `first` to before `last` back one by one; what finds no place is left out."""
    gone, random = live.lists[GONE], live.random
    rate = math.log(1.0 - blink) if blink > 0 else 0.0
    waiting = first
    for t in range(first, last):
        u = np.int64(gone[t])
        if fixed.rules & RELATED and waits(fixed, live, u):
            gone[waiting] = u
            waiting += 1
            continue
        if t == 0 and opening > 0 and uniform(random) < opening and open_route(fixed, live, u):
            continue
        if not place(fixed, live, u, rate, everywhere):
            live.lists[LEFT_NOW, live.total[LEFT]] = u
            live.total[LEFT] += 1
    more = waiting > first
    while more:  # what comes behind another, once that one has a place
        more, rest = False, first
        for t in range(first, waiting):
            u = np.int64(gone[t])
            if waits(fixed, live, u):
                gone[rest] = u
                rest += 1
            elif place(fixed, live, u, rate, everywhere):
                more = True
            else:
                live.lists[LEFT_NOW, live.total[LEFT]] = u
                live.total[LEFT] += 1
        waiting = rest
    for t in range(first, waiting):  # or without it, if it may
        u = np.int64(gone[t])
        if not place(fixed, live, u, rate, everywhere):
            live.lists[LEFT_NOW, live.total[LEFT]] = u
            live.total[LEFT] += 1


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, returns=_I8)
def take_one_out(fixed, live, u, m):
    """Take a task, and the other half of its pair, out of its route and into GONE."""
    if live.node[u, CREW] < 0 or fixed.price[u, GOODS] == RELOAD:
        return m
    other = fixed.price[u, PAIR]
    unlink(fixed, live, u)
    if other >= 0:
        unlink(fixed, live, other)
        if fixed.price[u, SECOND] == 1:
            u = other
    live.lists[GONE, m] = u
    return m + 1


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, returns=_I8)
def take_out(fixed, live, u, m):
    """Take a task, and the other half of its pair, out of its route and into GONE; half of the time with all it goes with.

    Else none of those could ever go elsewhere.
    """
    if live.node[u, CREW] < 0:
        return m
    row = fixed.price[u, MATES] if fixed.rules & RELATED and uniform(live.random) < 0.5 else np.int64(-1)
    while row >= 0 and fixed.rows[row, 0] >= 0:
        if fixed.rows[row, 0] == TOGETHER:
            m = take_one_out(fixed, live, np.int64(fixed.rows[row, 1]), m)
        row += 1
    return take_one_out(fixed, live, u, m)


@tight(FIXED_TYPE, LIVE_TYPE, write(_I4, 2), _F8, _F8, _F8, _F8, returns=_I8)
def ruin(fixed, live, around, mean, longest, split, timely):
    """Take strings of stops out of routes near a random task; how many are gone, or -1 if a route cannot do without.

    How often they are near in time as well, as `near` has it, and not on the road alone, `around` (n, k), is `timely`.
    """
    node, crew, total, random = live.node, live.crew, live.total, live.random
    if total[IN_USE] == 0:
        return np.int64(0)
    size = min(longest, total[PLACED] / total[IN_USE])
    routes = int(uniform(random) * (4.0 * mean / (1.0 + size) - 1.0) + 1.0)
    seed = np.int64(min(fixed.n - 1, int(uniform(random) * fixed.n)))
    m, done = np.int64(0), 0
    in_time = uniform(random) < timely
    for a in range(-1, fixed.near.shape[1] if in_time else around.shape[1]):
        if done >= routes:
            break
        c = seed
        if a >= 0:
            c = np.int64(fixed.near[seed, a, 0]) if in_time else np.int64(around[seed, a])
        v = np.int64(node[c, CREW])
        if v < 0 or crew[v, STAMP] == total[STAMP_NOW]:
            continue
        touch(fixed, live, v)
        done += 1
        stops = crew[v, STOPS]
        length = min(int(uniform(random) * min(float(stops), size) + 1.0), stops)
        kept = 0
        if 1 < length < stops and uniform(random) < split:
            kept = 1
            while length + kept < stops and uniform(random) < 0.01:
                kept += 1
        span = length + kept
        back, x = 0, np.int64(node[c, PREV])
        while back < span - 1 and x < fixed.n:
            back += 1
            x = np.int64(node[x, PREV])
        ahead, x = 0, np.int64(node[c, NEXT])
        while ahead < span - 1 and x < fixed.n:
            ahead += 1
            x = np.int64(node[x, NEXT])
        low, high = max(0, span - 1 - ahead), min(span - 1, back)
        b = min(low + int(uniform(random) * (high - low + 1)), high)
        x = c
        for _ in range(b):
            x = np.int64(node[x, PREV])
        hole = span + 1
        if kept > 0:
            hole = 1 + int(uniform(random) * (length - 1))
        first = m
        for t in range(span):
            if t < hole or t >= hole + kept:
                live.lists[STRING, m - first] = x
                m += 1
            x = np.int64(node[x, NEXT])
        string, m = m - first, first
        for t in range(string):
            m = take_out(fixed, live, np.int64(live.lists[STRING, t]), m)
        if not retime(fixed, live, v):
            return np.int64(-1)
        if fixed.rules & RELOADED:
            drop_reloads(fixed, live, v)
    return m


@tight(FIXED_TYPE, LIVE_TYPE, _I8, returns=types.boolean)
def rebuild(fixed, live, v):
    """A route whose nodes were linked by `NEXT` only: everything else again, its price included. False if it breaks a rule.

    The caller has taken out the route's price, and keeps `MOVES`.
    """
    node, crew, total, price = live.node, live.crew, live.total, fixed.price
    s, e = fixed.n + v, fixed.n + fixed.crews + v
    good = True
    stops = np.int64(0)
    for r in range(2 if fixed.rules & LIMITED else 0):
        crew[v, AMOUNTS + 2 * fixed.dimensions + r] = 0
    for k in range(fixed.dimensions):
        crew[v, AMOUNTS + k] = 0
    i = s
    while i != e:
        j = np.int64(node[i, NEXT])
        if j < fixed.n:
            stops += 1
            node[j, CREW] = v
            if fixed.barred and fixed.bar[v, j] > 0:
                good = False
            for k in range(fixed.dimensions):
                crew[v, AMOUNTS + k] += abs(price[j, CHANGES + k])
        connect(fixed, live, i, j)
        total[COSTS] += node[i, COST]
        i = j
    count(fixed, live, v, stops - crew[v, STOPS])
    if stops == 0:
        total[COSTS] += crew[v, BASE] - node[s, COST]
        node[s, COST] = crew[v, BASE]
    else:
        total[COSTS] += crew[v, FIXED]
    if not fixed.mixed:
        for k in range(fixed.dimensions):
            if crew[v, AMOUNTS + k] > crew[v, AMOUNTS + fixed.dimensions + k]:
                good = False
    return retime(fixed, live, v) and good


@tight(FIXED_TYPE, LIVE_TYPE, _I8, returns=_I8)
def route_price(fixed, live, v):
    """Legs and use of a route, without its lateness."""
    node, cost = live.node, live.crew[v, FIXED] if live.crew[v, STOPS] > 0 else np.int64(0)
    x, e = fixed.n + v, fixed.n + fixed.crews + v
    while x != e:
        cost += node[x, COST]
        x = np.int64(node[x, NEXT])
    return cost


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, returns=types.boolean)
def swap_tails(fixed, live, i, j):
    """Exchange what follows i and j, which are in different routes (2-opt*). False if a rule is broken: then `restore`."""
    node, total = live.node, live.total
    v, w = np.int64(node[i, CREW]), np.int64(node[j, CREW])
    touch(fixed, live, v)
    touch(fixed, live, w)
    total[COSTS] -= route_price(fixed, live, v) + route_price(fixed, live, w)
    a, b = np.int64(node[i, NEXT]), np.int64(node[j, NEXT])
    if fixed.stable:
        x = a
        while x < fixed.n:
            shift_moves(fixed, live, x, v, -1)
            shift_moves(fixed, live, x, w, 1)
            x = np.int64(node[x, NEXT])
        x = b
        while x < fixed.n:
            shift_moves(fixed, live, x, w, -1)
            shift_moves(fixed, live, x, v, 1)
            x = np.int64(node[x, NEXT])
    e, f = fixed.n + fixed.crews + v, fixed.n + fixed.crews + w
    last_v, last_w = np.int64(node[e, PREV]), np.int64(node[f, PREV])
    node[i, NEXT] = b if b < fixed.n else e
    node[j, NEXT] = a if a < fixed.n else f
    if b < fixed.n:
        node[last_w, NEXT] = e
    if a < fixed.n:
        node[last_v, NEXT] = f
    good = rebuild(fixed, live, v)
    if not (rebuild(fixed, live, w) and good):
        return False
    for x in (v, w):
        if live.crew[x, MOVES] > live.crew[x, MOST_MOVES]:
            return False
        if not keeps_rules(fixed, live, np.int64(x)):
            return False
    x = np.int64(node[fixed.n + v, NEXT])
    while fixed.pairs and x < fixed.n:  # they stay together
        if fixed.price[x, PAIR] >= 0 and node[fixed.price[x, PAIR], CREW] != v:
            return False
        x = np.int64(node[x, NEXT])
    x = np.int64(node[fixed.n + w, NEXT])
    while fixed.pairs and x < fixed.n:
        if fixed.price[x, PAIR] >= 0 and node[fixed.price[x, PAIR], CREW] != w:
            return False
        x = np.int64(node[x, NEXT])
    return True


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, _F8, returns=types.boolean)
def try_tails(fixed, live, u, most, bound):
    """Exchange tails so that a near neighbour follows u, if that costs less than `bound`. True if it was done."""
    node, crew, matrix = live.node, live.crew, fixed.matrix
    v = np.int64(node[u, CREW])
    if v < 0:
        return False
    a = np.int64(node[u, NEXT])
    la, lu, p = np.int64(node[a, LOC]), np.int64(node[u, LOC]), crew[v, PROFILE]
    for k in range(min(most, fixed.near.shape[1])):
        x = np.int64(fixed.near[u, k, 0])
        w = np.int64(node[x, CREW])
        if w < 0 or w == v or crew[w, ENDING] != crew[v, ENDING]:
            continue
        j = np.int64(node[x, PREV])
        d = np.int64(fixed.near[u, k, 2]) - node[u, COST] - node[j, COST]
        if d >= bound:
            continue
        lj = np.int64(node[j, LOC])
        d += matrix[p, la, lj, 1]
        if d >= bound:
            continue
        if (np.int64(node[u, LEAVE]) + matrix[p, lu, node[x, LOC], 2] > node[x, LATEST]
                or np.int64(node[j, LEAVE]) + matrix[p, la, lj, 3] > node[a, LATEST]):  # fmt: skip
            continue
        if j >= fixed.n and a >= fixed.n and crew[v, STOPS] > 0 and crew[w, STOPS] == 0:
            continue
        if not fixed.mixed:  # loads, before anything is moved
            good = True
            for c in range(fixed.dimensions):
                head, y = np.int64(0), u
                while y < fixed.n:
                    head += abs(fixed.price[y, CHANGES + c])
                    y = np.int64(node[y, PREV])
                tail, y = np.int64(0), x
                while y < fixed.n:
                    tail += abs(fixed.price[y, CHANGES + c])
                    y = np.int64(node[y, NEXT])
                if head + tail > crew[v, AMOUNTS + fixed.dimensions + c]:
                    good = False
                if crew[v, AMOUNTS + c] - head + crew[w, AMOUNTS + c] - tail > crew[w, AMOUNTS + fixed.dimensions + c]:
                    good = False
            if not good:
                continue
        return swap_tails(fixed, live, u, j)
    return False


@tight(FIXED_TYPE, LIVE_TYPE)
def keep_best(fixed, live):
    """Remember the routes as they are."""
    node, lists, total = live.node, live.lists, live.total
    for x in range(fixed.n + 2 * fixed.crews):
        lists[BEST_NEXT, x] = node[x, NEXT]
    total[BEST] = total[COSTS]
    total[BEST_LEFT] = total[LEFT]
    for t in range(total[LEFT]):
        lists[BEST_LEFT_OUT, t] = lists[LEFT_NOW, t]


@tight(FIXED_TYPE, LIVE_TYPE, write(_F8, 2), write(_I4, 2), _I8, _F8, _F8, _F8, _F8, _F8, _F8, _F8, _F8, _F8, _I8)
def search(fixed, live, key, around, iterations, hot, cooling, mean, longest, split, timely, blink, opening, tails, retries):
    """Ruin, recreate, keep or go back; `hot` is the temperature, falling by `cooling` each time."""
    lists, total, random = live.lists, live.total, live.random
    for _ in range(iterations):
        total[SAVED] = 0
        total[TOUCHED] = 0
        total[STAMP_NOW] += 1
        hot *= cooling
        before, left = total[COSTS], total[LEFT]
        for t in range(left):
            lists[LEFT_THEN, t] = lists[LEFT_NOW, t]
        if tails > 0 and uniform(random) < tails:
            bound = -hot * math.log(uniform(random) + 1e-300)
            u = min(fixed.n - 1, int(uniform(random) * fixed.n))
            good = try_tails(fixed, live, u, 20, bound) and total[COSTS] < before + bound
            m = np.int64(-1)
        else:
            m = ruin(fixed, live, around, mean, longest, split, timely)
            good = m >= 0
        if m >= 0:
            for _t in range(min(left, retries)):
                z = min(total[LEFT] - 1, int(uniform(random) * total[LEFT]))
                lists[GONE, m] = lists[LEFT_NOW, z]
                m += 1
                total[LEFT] -= 1
                lists[LEFT_NOW, z] = lists[LEFT_NOW, total[LEFT]]
            arrange(live, key, m, uniform(random) * 17.0)
            recreate(fixed, live, 0, m, blink, False, opening)
            good = total[COSTS] < before - hot * math.log(uniform(random) + 1e-300)
            for t in range(total[TOUCHED] if fixed.rules > 0 else 0):  # what was taken out may have to be in front of them
                good = good and keeps_rules(fixed, live, np.int64(lists[CHANGED, t]))
        if good:
            total[TAKEN] += 1
            if total[COSTS] < total[BEST]:
                total[FOUND] += 1
                keep_best(fixed, live)
        else:
            total[COSTS] = before
            restore(fixed, live)
            total[LEFT] = left
            for t in range(left):
                u = lists[LEFT_THEN, t]
                lists[LEFT_NOW, t] = u
                live.node[u, CREW] = -1
                if fixed.price[u, PAIR] >= 0:
                    live.node[fixed.price[u, PAIR], CREW] = -1
        total[DONE] += 1


# ---------------------------------------------------------------- beginning


@tight(FIXED_TYPE, LIVE_TYPE)
def clear(fixed, live):
    """Empty routes, everything left out."""
    node, crew, total = live.node, live.crew, live.total
    total[:] = 0
    for v in range(fixed.crews):
        s, e = fixed.n + v, fixed.n + fixed.crews + v
        node[s, NEXT] = e
        node[s, PREV] = -1
        node[e, PREV] = s
        node[e, NEXT] = -1
        node[s, CREW] = v
        node[e, CREW] = v
        node[s, LEAVE] = node[s, OPEN]
        node[s, COST] = crew[v, BASE]
        node[s, DRIVE] = fixed.matrix[crew[v, PROFILE], node[s, LOC], node[e, LOC], 2]
        node[e, COST] = 0
        node[e, DRIVE] = 0
        node[e, LATEST] = node[e, CLOSE]
        node[e, SLACK] = min(node[e, CLOSE], node[e, DUE])
        crew[v, STOPS] = 0
        crew[v, LATENESS] = 0
        crew[v, STAMP] = 0
        crew[v, MOVES] = 0
        crew[v, TRIED] = 0
        if fixed.rules & LIMITED:
            crew[v, AMOUNTS + 2 * fixed.dimensions] = crew[v, AMOUNTS + 2 * fixed.dimensions + 1] = 0
            stretch(fixed, live, v, s, e, 1)
        for k in range(fixed.dimensions):
            crew[v, AMOUNTS + k] = 0
        total[COSTS] += crew[v, BASE]
        retime(fixed, live, v)
    for kind in range(fixed.kinds):
        total[SPARE + kind] = -1
    for v in range(fixed.crews - 1, -1, -1):
        total[SPARE + crew[v, KIND]] = v
    for u in range(fixed.n):
        node[u, CREW] = -1
        total[COSTS] += fixed.price[u, LEFT_OUT]
    total[STAMP_NOW] = 1


@tight(FIXED_TYPE, LIVE_TYPE, _I8, write(_I4), _I8, _I8, returns=types.boolean)
def take_over(fixed, live, v, sequence, first, last):
    """The whole of a route as it is, if it keeps all rules; else nothing of it.

    Stop by stop it might not: where a way round is quicker than the straight one, part of a good route can be a bad one.
    """
    node, price, crew = live.node, fixed.price, live.crew
    i, good = fixed.n + v, True
    for t in range(first, last):
        u = np.int64(sequence[t])
        other = price[u, PAIR]
        if node[u, CREW] >= 0 or not allowed(fixed, live, u, v) or (
                other >= 0 and price[u, SECOND] == 1 and node[other, CREW] != v):  # fmt: skip
            good = False
            break
        join(fixed, live, u, i)
        i = u
        for k in range(fixed.dimensions):
            if price[u, CHANGES + k] != 0 and not fixed.mixed:
                good = good and crew[v, AMOUNTS + k] <= crew[v, AMOUNTS + fixed.dimensions + k]
        if not good:
            break
    x = np.int64(node[fixed.n + v, NEXT])
    while good and x < fixed.n:
        other = price[x, PAIR]
        good = other < 0 or node[other, CREW] == v
        x = np.int64(node[x, NEXT])
    if good and retime(fixed, live, v) and keeps_rules(fixed, live, v):
        return True
    while node[fixed.n + v, NEXT] < fixed.n:
        unlink(fixed, live, np.int64(node[fixed.n + v, NEXT]))
    retime(fixed, live, v)
    return False


@tight(FIXED_TYPE, LIVE_TYPE, write(_I4), write(_I4), returns=_I8)
def begin_with(fixed, live, sequence, bounds):
    """Routes `sequence[bounds[v]:bounds[v + 1]]`, without what breaks a rule there; the rest into GONE. How many that are.

    A pair is kept if both halves can be.
    """
    clear(fixed, live)
    node, price, total = live.node, fixed.price, live.total
    for v in range(fixed.crews):
        i, e = fixed.n + v, fixed.n + fixed.crews + v
        if take_over(fixed, live, v, sequence, bounds[v], bounds[v + 1]):
            continue
        for t in range(bounds[v], bounds[v + 1]):
            u = np.int64(sequence[t])
            other = price[u, PAIR]
            if node[u, CREW] >= 0:
                continue
            if other >= 0 and price[u, SECOND] == 1 and node[other, CREW] != v:
                continue  # its pickup is not on board
            if insertion(fixed, live, u, i, v, np.int64(NO)) < NO:
                join(fixed, live, u, i)
                retime(fixed, live, v)
                i = u
        x = np.int64(node[fixed.n + v, NEXT])
        while x < fixed.n:  # pickups whose delivery found no place
            onward = np.int64(node[x, NEXT])
            other = price[x, PAIR]
            if other >= 0 and node[other, CREW] < 0:
                unlink(fixed, live, x)
                broken = not (retime(fixed, live, v) and keeps_rules(fixed, live, v))
                while broken and node[fixed.n + v, NEXT] < fixed.n:  # what came after had to wait for it: all afresh
                    unlink(fixed, live, np.int64(node[fixed.n + v, NEXT]))
                if broken:
                    retime(fixed, live, v)
                    break
            x = onward
        node[e, CREW] = v
    m = np.int64(0)
    for u in range(fixed.n):
        if node[u, CREW] < 0 and price[u, GOODS] != RELOAD and (price[u, PAIR] < 0 or price[u, SECOND] == 0):
            live.lists[GONE, m] = u
            m += 1
    total[SAVED] = 0
    total[TOUCHED] = 0
    return m


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, returns=_I8)
def price_on(fixed, live, u, v):
    """The least that a task, or a pickup with its delivery, costs on one crew; `NO` if it cannot be there."""
    if fixed.price[u, PAIR] < 0:
        d = scan_route(fixed, live, u, v, np.int64(NO))[0]
        return scan_route_reload(fixed, live, u, v, np.int64(NO))[0] if d >= NO else d
    return scan_route_pair(fixed, live, u, v, np.int64(NO))[0]


@tight(FIXED_TYPE, LIVE_TYPE, _I8, write(_I8, 2), write(_I8, 3))
def offers(fixed, live, u, spans, out):
    """For each span in which service of u may begin and each crew: the least price, the begin, the predecessors of both halves.

    `spans` are (S, 2), `out` (S, crews, 4); a price of `NO` is no offer. The routes stay as they are: no reload comes with it.
    """
    node = live.node
    for s in range(len(spans)):
        node[u, OPEN], node[u, CLOSE] = spans[s, 0], spans[s, 1]
        for v in range(fixed.crews):
            second = np.int64(-1)
            if fixed.price[u, PAIR] < 0:
                d, first, _v = scan_route(fixed, live, u, v, np.int64(NO))
            else:
                d, first, second, _v = scan_route_pair(fixed, live, u, v, np.int64(NO))
            out[s, v, 0] = NO if first < 0 else d
            out[s, v, 1] = 0
            if first >= 0:
                arrive = np.int64(node[first, LEAVE]) + fixed.matrix[live.crew[v, PROFILE], node[u, LOC], node[first, LOC], 3]
                out[s, v, 1] = begin(node, fixed.rows, u, arrive)
            out[s, v, 2] = first
            out[s, v, 3] = second


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8)
def place_on(fixed, live, u, v):
    """Put it there, where it costs least."""
    if fixed.price[u, PAIR] < 0:
        i = scan_route(fixed, live, u, v, np.int64(NO))[1]
        if i < 0:
            _, i, k, r = scan_route_reload(fixed, live, u, v, np.int64(NO))
            join(fixed, live, r, i)
            i = k
        join(fixed, live, u, i)
        retime(fixed, live, v)
    else:
        found = scan_route_pair(fixed, live, u, v, np.int64(NO))
        join(fixed, live, u, found[1])
        join(fixed, live, fixed.price[u, PAIR], found[2])
        retime(fixed, live, v)


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, write(_I8, 2))
def price_waiting(fixed, live, first, last, table):
    """What each of the tasks in GONE from `first` to before `last` would cost on each crew: rows of `table`."""
    gone, crew, total = live.lists[GONE], live.crew, live.total
    for t in range(first, last):
        for v in range(fixed.crews):
            table[t, v] = NO
            if crew[v, STOPS] > 0 or total[SPARE + crew[v, KIND]] == v:
                table[t, v] = price_on(fixed, live, np.int64(gone[t]), v)


@tight(FIXED_TYPE, LIVE_TYPE, _I8, _I8, write(_I8, 2), returns=_I8)
def insert_with_regret(fixed, live, left, most, table):
    """Put at most so many of the first `left` tasks in GONE where they cost least; how many can still be put somewhere.

    What comes behind another waits for that one; else the most important first, and of those the one that would lose most by
    waiting (regret-2: Potvin & Rousseau 1993).
    `table` is that of `price_waiting`. What finds no place in the end is left out.
    """
    gone, crew, total = live.lists[GONE], live.crew, live.total
    while left > 0 and most > 0:
        pick, chosen, best, worth, waiting = np.int64(-1), np.int64(-1), np.int64(0), np.int64(-1), False
        for t in range(left):
            later = (fixed.rules & RELATED) > 0 and waits(fixed, live, np.int64(gone[t]))
            if later and pick >= 0 and not waiting:
                continue
            first, second, by = np.int64(NO), np.int64(NO), np.int64(-1)
            for v in range(fixed.crews):
                if table[t, v] < first:
                    first, second, by = table[t, v], first, v
                elif table[t, v] < second:
                    second = table[t, v]
            if by < 0:
                continue
            value, regret = fixed.price[gone[t], LEFT_OUT], second - first
            if pick < 0 or (waiting and not later) or value > worth or (value == worth and regret > best):
                pick, chosen, best, worth, waiting = np.int64(t), by, regret, value, later
        if pick < 0:
            break
        u = np.int64(gone[pick])
        now = price_on(fixed, live, u, chosen)
        if now != table[pick, chosen]:  # moves elsewhere have used up what may change hands
            table[pick, chosen] = now
            continue
        left -= 1
        most -= 1
        gone[pick] = gone[left]
        for v in range(fixed.crews):
            table[pick, v] = table[left, v]
        place_on(fixed, live, u, chosen)
        spare = total[SPARE + crew[chosen, KIND]]
        for t in range(left):
            table[t, chosen] = price_on(fixed, live, np.int64(gone[t]), chosen)
            if spare >= 0 and crew[chosen, STOPS] <= 2:
                table[t, spare] = price_on(fixed, live, np.int64(gone[t]), spare)
    if most > 0:
        for t in range(left):
            live.lists[LEFT_NOW, total[LEFT]] = gone[t]
            total[LEFT] += 1
        return np.int64(0)
    return left


@tight(FIXED_TYPE, LIVE_TYPE, _I8)
def move_late(fixed, live, gain):
    """Try each late task elsewhere, once; it moves only if that gains more than `gain`, the price of the change included."""
    node, total = live.node, live.total
    for u in range(fixed.n):
        v = np.int64(node[u, CREW])
        tied = fixed.price[u, PAIR] >= 0 or fixed.price[u, GOODS] == RELOAD
        if v < 0 or tied or node[u, LEAVE] - node[u, SERVICE] <= node[u, DUE]:
            continue
        total[SAVED] = 0
        total[TOUCHED] = 0
        total[STAMP_NOW] += 1
        before = total[COSTS]
        touch(fixed, live, v)
        unlink(fixed, live, u)
        good = retime(fixed, live, v) and keeps_rules(fixed, live, v)
        if not (good and place(fixed, live, u, 0.0, True) and total[COSTS] < before - gain):
            restore(fixed, live)
            total[COSTS] = before


@tight(FIXED_TYPE, LIVE_TYPE, _I8, write(_I8, 2))
def shortfalls(fixed, live, u, out):
    """For each crew, the least by which a task (a pickup with its delivery right behind it) does not fit, and after which node.

    Seconds too late, or amounts too many where that stands in the way first. `out` is (crews, 2).
    """
    node, matrix = live.node, fixed.matrix
    w = fixed.price[u, PAIR]
    last = u if w < 0 else w
    lu, lw = np.int64(node[u, LOC]), np.int64(node[last, LOC])
    for v in range(fixed.crews):
        p, i = live.crew[v, PROFILE], fixed.n + v
        out[v, 0], out[v, 1] = NO, i
        while i < fixed.n or i == fixed.n + v:
            j = np.int64(node[i, NEXT])
            short = excess(fixed, live, u, i, j, v)
            if short == 0:
                at, x, arrive = np.int64(0), np.int64(u), np.int64(node[i, LEAVE]) + matrix[p, lu, node[i, LOC], 3]
                while True:
                    at = begin(node, fixed.rows, x, arrive)
                    if at < 0:
                        short += min(arrive - node[x, CLOSE], NEVER)
                        at = arrive
                    if x == last:
                        break
                    x, arrive = last, at + node[x, SERVICE] + matrix[p, lu, lw, 2]
                short += max(0, at + node[last, SERVICE] + matrix[p, lw, node[j, LOC], 2] - node[j, LATEST])
            if short < out[v, 0]:
                out[v, 0], out[v, 1] = short, i
            i = j


# ---------------------------------------------------------------- making the arrays


@kernel(read(_I4, 2), read(_I4, 2), read(_I8), read(_I8), read(_I8), _I8, _I8, _I8, write(_I4, 3))
def legs(seconds, metres, places, setup, rank, per_hour, per_km, unreachable, out):
    """Cost and seconds of each leg, out and back in one row, and with limits metres and seconds; an open end (place -1) has none.

    Setting up at another place counts as driving there; tasks of a lower `rank` cannot follow those of a higher.
    """
    limited = out.shape[2] > 4
    size, block = len(places), 64  # rows and columns that stay in the cache while both directions are written
    hourly, km = np.float64(per_hour), np.float64(per_km)  # floats are faster, and as exact
    for first in range(0, size, block):
        for second in range(0, size, block):
            for a in range(first, min(first + block, size)):
                for b in range(second, min(second + block, size)):
                    x, y = places[a], places[b]
                    cost, drive = np.int64(0), np.int64(0)
                    if limited:
                        out[a, b, 4] = metres[x, y] if x >= 0 and y >= 0 else 0
                        out[a, b, 5] = seconds[x, y] if x >= 0 and y >= 0 else 0
                    if x >= 0 and y >= 0:
                        drive = np.int64(seconds[x, y])
                        cost = np.int64(drive * hourly / 3600.0) + np.int64(metres[x, y] * km / 1000.0)
                        cost = min(cost, BEYOND)
                        if drive >= unreachable or (rank[b] >= 0 and rank[a] > rank[b]):
                            drive = NEVER
                        elif x != y:
                            drive += setup[b]
                    out[a, b, 0] = cost
                    out[a, b, 2] = drive
                    out[b, a, 1] = cost
                    out[b, a, 3] = drive


@kernel(write(_I8), _I8, returns=write(_I8))
def first_of(score, many):
    """The indices of the smallest scores, sorted."""
    if many >= len(score):
        return np.argsort(score)[:many]
    bound = np.partition(score, many)[many]
    found = np.empty(len(score), np.int64)
    m = 0
    for x in range(len(score)):
        if score[x] <= bound:
            found[m] = x
            m += 1
    found = found[:m]
    return found[np.argsort(score[found])][:many]


@kernel(write(_I4, 4), write(_I4, 2), write(_I4, 3), write(_I4, 2), _I8, _I8)
def nearest(matrix, node, near, around, start, end):
    """The best neighbours in time and on the road (Vidal et al. 2013: waiting and time warp count), and the nearest.

    Of the tasks from `start` to before `end`.
    """
    n, most, wide = len(near), near.shape[1], around.shape[1]
    score, road = np.empty(n, np.int64), np.empty(n, np.int64)
    for u in range(start, min(end, n)):
        opens, ends = np.int64(node[u, OPEN]), np.int64(min(node[u, CLOSE], node[u, DUE]))
        service = np.int64(node[u, SERVICE])
        for x in range(n):
            out, back = np.int64(matrix[0, u, x, 0]), np.int64(matrix[0, u, x, 1])
            there, here = np.int64(matrix[0, u, x, 2]), np.int64(matrix[0, u, x, 3])
            opened, closes = np.int64(node[x, OPEN]), np.int64(min(node[x, CLOSE], node[x, DUE]))
            one = out + max(0, opened - there - service - ends) // 5 + max(0, opens + service + there - closes)
            served = np.int64(node[x, SERVICE])
            two = back + max(0, opens - here - served - closes) // 5 + max(0, opened + served + here - ends)
            score[x] = min(one, two)
            road[x] = min(out, back)
        score[u], road[u] = NO, -1
        for i, x in enumerate(first_of(score, most)):
            near[u, i, 0] = x
            near[u, i, 1] = matrix[0, u, x, 1]
            near[u, i, 2] = matrix[0, u, x, 0]
            for p in range(1, len(matrix)):
                near[u, i, 1] = min(near[u, i, 1], matrix[p, u, x, 1])
                near[u, i, 2] = min(near[u, i, 2], matrix[p, u, x, 0])
        for i, x in enumerate(first_of(road, wide)):
            around[u, i] = x
