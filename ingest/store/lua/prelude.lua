-- In front of every script. `K` names the KEYS (generated from keys.py); the functions below are shared.

-- The depot's next revision, with the event appended. -> revision
local function emit(kind, body)
  local rev = redis.call('INCR', K.rev)
  redis.call('XADD', K.events, '*', 'depot', DEPOT, 'rev', rev, 'type', kind, 'data', body)
  return rev
end

-- Note reasons to re-solve, {subject, revision} each: they wait until a plan, or a no-op, has answered the revision. When and if it asks for a repair itself
-- is the depot's policy for this kind; a person always does, and what is tried again; what is noted quietly never. The depot is dirty from the moment on at which a repair is due.
local function triggers(kind, subjects, now, quietly)
  if #subjects == 0 then return end
  now = tonumber(now)
  local policy = cjson.decode(redis.call('GET', K.depot)).policy
  local rule = policy.triggers[kind] or {}
  local asks, due = true, nil
  if quietly or (rule.asks == false and kind ~= 'requested' and kind ~= 'order_readmitted') then
    asks = false
  else
    local wait = type(rule.wait) == 'number' and rule.wait or policy.debounce
    due = now + wait
    if rule.cooldown and rule.cooldown > 0 then
      local asked = tonumber(redis.call('HGET', K.asked, kind) or '-inf')  -- with one that waits already, or after it
      due = asked >= now and math.min(asked, now + math.max(wait, rule.cooldown)) or math.max(due, asked + rule.cooldown)
      redis.call('HSET', K.asked, kind, due)
    end
    due = math.max(due, math.min(tonumber(redis.call('GET', K.repaired) or '0'), now) + policy.max_wait)  -- clocks differ
    redis.call('ZADD', K.dirty, 'LT', due, DEPOT)
  end
  for _, row in ipairs(subjects) do
    local reason = {kind = kind, subject = row[1], revision = row[2], at = now, due = due}
    if not asks then reason.asks = false end
    redis.call('ZADD', K.triggers, row[2], cjson.encode(reason))
  end
end

local function trigger(kind, subject, rev, now) triggers(kind, {{subject, rev}}, now) end

-- A repair that began at `began` has answered all triggers up to a revision; what came since waits its turn.
local function repaired(revision, began, again, improve)
  redis.call('SET', K.repaired, began)
  if improve then
    for _, text in ipairs(redis.call('ZRANGEBYSCORE', K.triggers, '-inf', revision)) do
      redis.call('ZADD', K.improving, cjson.decode(text).revision, text)
    end
    redis.call('ZREMRANGEBYRANK', K.improving, 0, -1001)
    redis.call('ZADD', K.improvable, again, DEPOT)
  end
  redis.call('ZREMRANGEBYSCORE', K.triggers, '-inf', revision)
  local due = math.huge
  for _, text in ipairs(redis.call('ZRANGE', K.triggers, 0, -1)) do
    local reason = cjson.decode(text)
    if reason.asks ~= false then due = math.min(due, math.max(reason.due or 0, tonumber(again))) end
  end
  if due < math.huge then
    redis.call('ZADD', K.dirty, due, DEPOT)
  else
    redis.call('ZREM', K.dirty, DEPOT)
  end
end

-- An improvement has looked at all that was answered up to a revision, and found something or nothing.
local function improved(revision, again)
  redis.call('ZREMRANGEBYSCORE', K.improving, '-inf', revision)
  redis.call('ZREM', K.improvable, DEPOT)
  if again then redis.call('ZADD', K.improvable, again, DEPOT) end
end

local function touch(record, rev) redis.call('HSET', K.record_rev, record, rev) end

local function order_of(stop) return string.match(stop, '^(.*)%.[^.]*$') end

-- Names, phones, notes and proofs are forgotten after a while, as the depot's policy says: an order's so long after its last window.
local function keep_personal(key, document)
  local depot, last = cjson.decode(redis.call('GET', K.depot)), nil
  local order = document and cjson.decode(document) or {}
  for _, part in ipairs({order, type(order.pickup) == 'table' and order.pickup or {}}) do
    for _, window in ipairs(part.windows or {}) do last = math.max(last or 0, window['end']) end
  end
  local due = last and depot.clock.real_zero + (last - depot.clock.depot_zero) / depot.clock.scale - redis.call('TIME')[1] or 0
  redis.call('EXPIRE', key, math.floor(math.max(0, due)) + (depot.policy.personal_days or 30) * 86400)
end

local TERMINAL = {completed = true, failed = true, cancelled = true}

local function state_of(stop) return redis.call('HGET', K.progress, stop .. '|state') end

local function is_cancelled(order)
  if redis.call('SISMEMBER', K.open, order) == 1 then return false end
  local known = cjson.decode(redis.call('HGET', K.orders, order) or '{}')
  return state_of(order .. '.' .. (known.kind == 'transport' and 'delivery' or tostring(known.kind))) == 'cancelled'
end

-- What the parts of orders are called: a stop is `<order>.<kind>`.
local KINDS = {'delivery', 'collection', 'service', 'pickup'}

-- A stop where a shift comes back to the depot for more is nobody's order, neither open nor closed: `<shift>.<number>.reload`.
local function is_reload(stop) return string.sub(stop, -7) == '.reload' end

local function is_open(stop) return is_reload(stop) or redis.call('SISMEMBER', K.open, order_of(stop)) == 1 end

-- Whether a driver is in an order's list of names.
local function has_name(key, order, driver)
  return string.find(' ' .. (redis.call('HGET', key, order) or '') .. ' ', ' ' .. driver .. ' ', 1, true) ~= nil
end

local function words(text)
  local list = {}
  for word in string.gmatch(text or '', '%S+') do list[#list + 1] = word end
  return list
end

-- The stop a shift is driving to or serving, if any.
local function current_of(shift)
  for _, stop in ipairs(words(redis.call('HGET', K.trail, shift))) do
    if not TERMINAL[state_of(stop)] then return stop end
  end
  return nil
end

local function is_emergency(stop)
  return cjson.decode(redis.call('HGET', K.orders, order_of(stop)) or '{}').dispatch == 'emergency'
end

local function trail_has(shift, stop)
  for _, other in ipairs(words(redis.call('HGET', K.trail, shift))) do
    if other == stop then return true end
  end
  return false
end

local function trail_add(shift, stop)
  if trail_has(shift, stop) then return end
  local trail = redis.call('HGET', K.trail, shift)
  redis.call('HSET', K.trail, shift, trail and trail ~= '' and trail .. ' ' .. stop or stop)
end

local function set_trail(shift, stops)
  if #stops == 0 then
    redis.call('HDEL', K.trail, shift)
  else
    redis.call('HSET', K.trail, shift, table.concat(stops, ' '))
  end
end

-- A shift's started stops in the order of what happened there, not of the reports: those finished first, by when they were left.
local function trail_sort(shift)
  local rows = {}
  for _, stop in ipairs(words(redis.call('HGET', K.trail, shift))) do
    local row = redis.call('HMGET', K.progress, stop .. '|state', stop .. '|arrived', stop .. '|left')
    local done = TERMINAL[row[1]]
    rows[#rows + 1] = {stop, done and 0 or 1, tonumber(done and row[3] or row[2]) or math.huge, tonumber(row[2]) or math.huge}
  end
  table.sort(rows, function(a, b)
    for i = 2, 4 do
      if a[i] ~= b[i] then return a[i] < b[i] end
    end
    return a[1] < b[1]
  end)
  for i, row in ipairs(rows) do rows[i] = row[1] end
  set_trail(shift, rows)
end

-- A shift drives to a stop from now on (real time: what is inferred of it from pings is of later ones).
local function drive_to(shift, stop)
  redis.call('HSET', K.progress, stop .. '|state', 'en_route', stop .. '|since', redis.call('TIME')[1])
  trail_add(shift, stop)
end

-- Take an unfinished stop out of a shift's trail: it is open again. That it was reached is kept, for a report of what was done there
-- that may still come.
local function trail_drop(shift, stop)
  local kept = {}
  for _, other in ipairs(words(redis.call('HGET', K.trail, shift))) do
    if other ~= stop then kept[#kept + 1] = other end
  end
  set_trail(shift, kept)
  local arrived = redis.call('HGET', K.progress, stop .. '|arrived')
  if arrived then redis.call('HSET', K.progress, stop .. '|reached', shift .. ' ' .. arrived) end
  redis.call('HDEL', K.progress, stop .. '|state', stop .. '|arrived', stop .. '|inferred', stop .. '|since')
end

-- Whether a stop of a shift's route is still its own: neither looking for a driver, nor another's.
local function still_its(shift, driver, stop)
  local order = order_of(stop)
  local held, holder = redis.call('HGET', K.held, order), redis.call('HGET', K.stop_shift, stop)
  local its = not holder or holder == shift or redis.call('HEXISTS', K.returned, holder) == 1
  return redis.call('SISMEMBER', K.unmatched, order) == 0 and (not held or held == driver) and its
end

-- A transport that nobody has picked up yet: its goods are not at the depot.
local function on_its_way(order)
  return redis.call('HEXISTS', K.stop_shift, order .. '.pickup') == 1 and state_of(order .. '.pickup') ~= 'completed'
end

-- Whether what a shift on the road is to deliver at a stop waits at the depot.
local function at_depot(shift, stop)
  local order = order_of(stop)
  return string.sub(stop, -9) == '.delivery' and redis.call('HGET', K.goods, order) ~= shift and not on_its_way(order)
end

-- A shift on the road with no current stop drives to the next open one of its route (never `except`).
local function advance(shift, except)
  if redis.call('HEXISTS', K.departed, shift) == 0 or redis.call('HEXISTS', K.returned, shift) == 1 then return end
  if current_of(shift) then return end
  local driver = redis.call('HGET', K.shift_driver, shift)
  local held = redis.call('HGETALL', K.held)
  for i = 1, #held, 2 do  -- an emergency that was accepted before he left
    for _, kind in ipairs(KINDS) do
      local stop = held[i] .. '.' .. kind
      if held[i + 1] == driver and stop ~= except and redis.call('HGET', K.stop_shift, stop) == shift and not state_of(stop)
          and is_emergency(stop) then
        return drive_to(shift, stop)
      end
    end
  end
  for _, stop in ipairs(words(redis.call('HGET', K.sequences, shift))) do
    if stop ~= except and not state_of(stop) and is_open(stop) and not has_name(K.declined, order_of(stop), driver)
        and still_its(shift, driver, stop) and not at_depot(shift, stop) then return drive_to(shift, stop) end
  end
end

-- A shift is over: what was not delivered is at the depot again.
local function give_back(shift, at, rev)
  redis.call('HSETNX', K.departed, shift, at)
  if redis.call('HSETNX', K.returned, shift, at) == 1 then emit('shift.returned', cjson.encode({shift_id = shift, at = tonumber(at)})) end
  redis.call('HDEL', K.foreseen, shift)
  local current = current_of(shift)
  if current then trail_drop(shift, current) end
  local goods = redis.call('HGETALL', K.goods)
  for i = 1, #goods, 2 do
    if goods[i + 1] == shift then
      redis.call('HDEL', K.goods, goods[i])
      touch(goods[i], rev)
    end
  end
end

-- A driver rests in a shift from now on until then, or goes on: what was, whatever order it is told in. An end whose beginning is
-- not told yet is kept as a rest of no length.
local function rest(shift, kind, at, till)
  local from, over = tonumber(at), tonumber(till)
  local rests = words(redis.call('HGET', K.rested, shift))
  local mine
  for i = 2, #rests, 2 do
    local begun, ended = tonumber(rests[i - 1]), tonumber(rests[i])
    if kind == 'on_break' then
      if begun < from and from <= ended then mine = i end  -- it is prolonged, or shortened
      if begun == ended and from <= ended and ended < over then mine, over = i, ended end
    elseif begun <= from and from < ended then
      mine, rests[i] = i, at
    end
  end
  if kind == 'on_break' and mine then
    rests[mine - 1], rests[mine] = tostring(math.min(from, tonumber(rests[mine - 1]))), tostring(over)
  elseif not mine and kind ~= 'on_duty' then
    rests[#rests + 1], rests[#rests + 2] = at, kind == 'on_break' and tostring(over) or at
  end
  redis.call('HSET', K.rested, shift, table.concat(rests, ' '))
end

-- Whether a driver is out with a shift.
local function on_the_road(driver)
  local shifts = redis.call('HGETALL', K.shift_driver)
  for i = 1, #shifts, 2 do
    if shifts[i + 1] == driver and redis.call('HEXISTS', K.departed, shifts[i]) == 1
        and redis.call('HEXISTS', K.returned, shifts[i]) == 0 then return true end
  end
  return false
end

-- What a shift's route delivers from a position on, up to where it comes back to the depot, is on board from now on; so is what it has
-- failed to deliver since `at` (depot s, or nil). -> those orders
local function put_aboard(shift, first, at)
  local stops, loaded, driver = words(redis.call('HGET', K.sequences, shift)), {}, redis.call('HGET', K.shift_driver, shift)
  for i = first, #stops do
    local order = order_of(stops[i])
    if is_reload(stops[i]) then break end
    local wanted = redis.call('SISMEMBER', K.open, order) == 1 and not has_name(K.declined, order, driver)
    local tried = at and state_of(stops[i]) == 'failed' and redis.call('HGET', K.stop_shift, stops[i]) == shift
        and tonumber(redis.call('HGET', K.progress, stops[i] .. '|left')) > tonumber(at)
    if (wanted or tried) and at_depot(shift, stops[i]) and redis.call('HSETNX', K.goods, order, shift) == 1 then
      loaded[#loaded + 1] = order
    end
  end
  return loaded
end

-- A shift has been at the depot until then: what its next trip delivers comes aboard, and any plan that was made before is out of date.
-- What no open order needs any more stays there; that follows from when things happened, and is seen when the state is read.
local function reload(shift, stop, at, rev)
  for i, other in ipairs(words(redis.call('HGET', K.sequences, shift))) do
    if other == stop then
      local loaded = put_aboard(shift, i + 1, at)
      for _, order in ipairs(loaded) do touch(order, rev) end
      for _, order in ipairs(words(redis.call('HGET', K.progress, stop .. '|loaded'))) do loaded[#loaded + 1] = order end
      redis.call('HSET', K.progress, stop .. '|loaded', table.concat(loaded, ' '))
    end
  end
  touch(shift, rev)
end

-- It had not been loaded after all: what came aboard there, and is not delivered, is at the depot.
local function unload(shift, stop, rev)
  for _, order in ipairs(words(redis.call('HGET', K.progress, stop .. '|loaded'))) do
    if redis.call('HGET', K.goods, order) == shift then
      redis.call('HDEL', K.goods, order)
      touch(order, rev)
    end
  end
  redis.call('HDEL', K.progress, stop .. '|loaded')
  touch(shift, rev)
end

-- A vehicle leaves: what its route delivers is on board from now on, and its first stop is driven to.
local function depart(shift, at, except)
  local known = tonumber(redis.call('HGET', K.departed, shift))
  if known then
    if tonumber(at) < known then redis.call('HSET', K.departed, shift, at) end  -- the report of what came first may come last
    return false
  end
  redis.call('HSET', K.departed, shift, at)
  emit('shift.departed', cjson.encode({shift_id = shift, at = tonumber(at)}))
  local driver = redis.call('HGET', K.shift_driver, shift)
  local shifts = redis.call('HGETALL', K.shift_driver)
  for i = 1, #shifts, 2 do  -- who leaves again has come back from the shift before
    local other = shifts[i]
    if shifts[i + 1] == driver and other ~= shift and redis.call('HEXISTS', K.departed, other) == 1
        and redis.call('HEXISTS', K.returned, other) == 0 then
      local rev = redis.call('GET', K.rev)
      give_back(other, at, rev)
      trigger('driver_returned', driver, tonumber(rev), redis.call('TIME')[1])
    end
  end
  put_aboard(shift, 1, nil)
  advance(shift, except)
  return true
end

-- Tell a driver's app of an offer, as the app sees it: that it is made, or how it ended.
local function tell(offer)
  offer.view.state = offer.state
  local text = cjson.encode(offer.view)
  redis.call('PUBLISH', 'lastleg:' .. DEPOT .. ':offers:' .. offer.driver_id, text)
  redis.call('XADD', K.published, 'MAXLEN', '~', 2000, '*', 'depot', DEPOT, 'offers', cjson.encode({[offer.driver_id] = text}))
end

-- An offer has ended: 'accepted', 'declined', 'expired' or 'withdrawn'. -> whose it was, or nil if there is none
local function end_offer(order, how)
  local text = redis.call('HGET', K.offers, order)
  if not text then return nil end
  local offer = cjson.decode(text)
  redis.call('HDEL', K.offers, order)
  redis.call('HDEL', K.offered, offer.driver_id)
  redis.call('ZREM', K.timers, DEPOT .. ' offer_expired ' .. order)
  offer.state = how
  tell(offer)
  return offer.driver_id
end

-- An order that cannot wait is nobody's: it looks for somebody at once.
local function seek(order, now)
  redis.call('SADD', K.unmatched, order)
  redis.call('ZADD', K.matchable, 'LT', now, DEPOT)
end

-- Who will not be asked again for an order as long as there is anybody else (K.passed), or at all (K.declined).
local function add_name(key, order, driver)
  local before = redis.call('HGET', key, order)
  if not has_name(key, order, driver) then redis.call('HSET', key, order, before and before .. ' ' .. driver or driver) end
end

-- What was expected of a stop's arrival has come true, or never will. -> what was told of it, '' if nothing
local function unexpect(stop)
  local told = redis.call('HGET', K.forecasts, stop)
  redis.call('HDEL', K.etas, stop)
  redis.call('HDEL', K.eta_told, stop)
  redis.call('HDEL', K.forecasts, stop)
  return told or ''
end

-- A driver has arrived: what was expected is held against it. -> what was told of it: minutes ahead, P50 and P80, and so on
local function judge(stop, at)
  local told = unexpect(stop)
  if told ~= '' then emit('eta.judged', cjson.encode({stop_id = stop, at = tonumber(at), told = told})) end
  return told
end

-- So long (s) after a driver was heard of the depot's drivers are looked at, as `workers/tracking.py` goes on to do.
local LOOK_S = 5

-- So many of a driver's newest pings are kept at hand: progress is seen from them.
local RECENT_PINGS = 150

-- A driver was heard of: not silent, and not before `deadline` (real s).
local function hear(driver, deadline, now)
  redis.call('ZADD', K.heard, deadline, DEPOT .. ' ' .. driver)
  redis.call('ZADD', K.moving, 'NX', tonumber(now) + LOOK_S, DEPOT)
  if redis.call('HGET', K.absent, driver) == 'silent' then
    redis.call('HDEL', K.absent, driver)
    local rev = emit('driver.back', cjson.encode({driver_id = driver}))
    touch(driver, rev)
    trigger('driver_back', driver, rev, now)
  end
  local position = redis.call('HGET', K.positions, driver)
  if position and redis.call('HEXISTS', K.absent, driver) == 0 and redis.call('HEXISTS', K.breaks, driver) == 0 then
    local place = cjson.decode(position).location
    if math.abs(place.lat) < 85 then redis.call('GEOADD', K.near, place.lon, place.lat, driver) end  -- the index ends there
  end
end

-- So long (s) may what is aside wait for a success that lets it in on trial; then a re-solve is asked for that may be one.
local READMIT_S = 30

-- Say where something that is aside stands. -> whether it is aside
local function aside_as(id, state, failure)
  local known = redis.call('HGET', K.aside, id)
  if not known then return false end
  local entry = cjson.decode(known)
  entry.state, entry.failure = state, failure or entry.failure
  redis.call('HSET', K.aside, id, cjson.encode(entry))
  return true
end

local function close_order(order)
  redis.call('SREM', K.open, order)
  redis.call('ZADD', K.closed, redis.call('TIME')[1], order)
  redis.call('HDEL', K.unassigned, order)
  redis.call('HDEL', K.declined, order)
  redis.call('HDEL', K.aside, order)
  for _, kind in ipairs(KINDS) do unexpect(order .. '.' .. kind) end
  end_offer(order, 'withdrawn')
  redis.call('HDEL', K.held, order)
  redis.call('HDEL', K.passed, order)
  redis.call('SREM', K.unmatched, order)
end

-- An open order is cancelled at a depot time; a driver on the way to it is sent on. -> revision, whether a plan has to do with it
local function cancel(id, stops, body, at)
  local rev = emit('order.cancelled', body)
  local planned = redis.call('SISMEMBER', K.unmatched, id) == 0
  close_order(id)
  touch(id, rev)
  for _, stop in ipairs(stops) do
    if not TERMINAL[state_of(stop)] then redis.call('HSET', K.progress, stop .. '|state', 'cancelled', stop .. '|left', at) end
  end
  for _, stop in ipairs(stops) do
    local shift = redis.call('HGET', K.stop_shift, stop)
    if shift then advance(shift) end
  end
  redis.call('ZREM', K.timers, DEPOT .. ' reservation_over ' .. id)
  return rev, planned
end

-- Whoever holds an order that cannot wait gives it back, unless it has been begun. -> whether it looks for somebody else now
local function release(order, now)
  local stops = {}
  for _, kind in ipairs(KINDS) do
    local stop = order .. '.' .. kind
    local state = state_of(stop)
    if state and state ~= 'en_route' and state ~= 'cancelled' then return false end
    stops[#stops + 1] = stop
  end
  for _, stop in ipairs(stops) do
    local shift = redis.call('HGET', K.stop_shift, stop)
    if shift then
      redis.call('HDEL', K.stop_shift, stop)
      if trail_has(shift, stop) then
        trail_drop(shift, stop)
        advance(shift, stop)
      end
    end
  end
  redis.call('HDEL', K.held, order)
  if redis.call('SISMEMBER', K.open, order) == 0 then return false end
  touch(order, emit('order.released', cjson.encode({order_id = order})))
  seek(order, now)
  return true
end

-- A driver is away: when he will arrive anywhere is anybody's guess.
local function expect_nothing(driver)
  local shifts = redis.call('HGETALL', K.shift_driver)
  for i = 1, #shifts, 2 do
    if shifts[i + 1] == driver then
      for _, stop in ipairs(words(redis.call('HGET', K.sequences, shifts[i]))) do redis.call('HDEL', K.etas, stop) end
    end
  end
end

-- A driver is not to be had for now: what is offered to him, or held and not begun, looks for somebody else.
local function let_go(driver, now)
  local order = redis.call('HGET', K.offered, driver)
  if order then
    end_offer(order, 'withdrawn')
    seek(order, now)
  end
  local held = redis.call('HGETALL', K.held)
  for i = 1, #held, 2 do
    if held[i + 1] == driver and release(held[i], now) then add_name(K.passed, held[i], driver) end
  end
end
