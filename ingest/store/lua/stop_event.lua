-- What a driver reports of a stop. Facts (arrived, completed, failed, loaded) are always recorded; intentions
-- (accepted, declined, en_route, skipped) are refused when the stop is no longer theirs. What is only inferred from pings (arrived,
-- completed) is refused unless it is the next thing to happen to that shift; a report corrects it.
-- KEYS: all of keys.py, then the answer of this event id, then the order's personal hash.
-- ARGV: driver, the driver's shift, stop, type, occurred at (depot s), event body, now (real s), once ttl,
--       deadline of the next ping (real s; '' if inferred), names and values of what proves it.
-- -> {'recorded'|'conflict'|'refused'|'reused', 'replayed' if seen before, what was expected of an arrival: see judge}
local driver, shift, stop, kind, at, body, now, ttl, deadline = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local inferred = deadline == ''
local this = stop .. '|' .. kind
local known = redis.call('GET', ONCE)
if known then
  local result, before = string.match(known, '^(%S+) (.*)$')
  if before ~= this then return {'reused'} end
  return {result, 'replayed'}
end
local order = order_of(stop)
local holder = redis.call('HGET', K.stop_shift, stop)
local theirs = holder and redis.call('HGET', K.shift_driver, holder) == driver
local state = state_of(stop)
local fact = kind == 'arrived' or kind == 'completed' or kind == 'failed' or kind == 'loaded'
if inferred and not (theirs and holder == shift and current_of(shift) == stop
    and state == (kind == 'arrived' and 'en_route' or 'arrived')) then return {'refused'} end
local ahead = theirs and holder ~= shift and redis.call('HEXISTS', K.departed, holder) == 0
if ahead and kind == 'en_route' then return {'refused'} end  -- that shift has not begun
if ahead and fact and shift ~= '' then
  theirs = false  -- done in this shift, though planned for a later one of the same driver
elseif theirs then
  shift = holder
end

if is_reload(stop) and shift ~= order_of(order) then return {'refused'} end  -- it is one shift's own

-- Of several reports of a moment the first one counts, whatever order they come in; a guess counts only until there is one.
local function first(field, moment, guess)
  local known = tonumber(redis.call('HGET', K.progress, field))
  if not known or guess or tonumber(moment) < known then redis.call('HSET', K.progress, field, moment) end
end

local function recorded(as)
  hear(driver, deadline, now)
  redis.call('SET', ONCE, as .. ' ' .. this, 'EX', ttl)
end

local offer = redis.call('HGET', K.offers, order)
offer = offer and cjson.decode(offer)
local asked = offer and offer.driver_id == driver
if kind == 'declined' and not asked and not theirs and has_name(K.passed, order, driver) then
  add_name(K.declined, order, driver)  -- said too late, but said: he is not asked again
  emit('stop.declined', body)
  recorded('recorded')
  return {'recorded'}
end
if asked and (kind == 'accepted' or kind == 'declined') then
  local time = redis.call('TIME')
  local late = offer.expires_at < time[1] + time[2] / 1000000
  if kind == 'accepted' and (late or stop ~= offer.stop_id) then return {'refused'} end
  local rev = emit('stop.' .. kind, body)
  touch(order, rev)
  if kind == 'declined' then
    end_offer(order, 'declined')
    add_name(K.declined, order, driver)
    seek(order, now)
  else
    end_offer(order, 'accepted')
    redis.call('SREM', K.unmatched, order)
    redis.call('HDEL', K.passed, order)
    redis.call('HSET', K.held, order, driver)
    redis.call('HSET', K.stop_shift, stop, offer.shift_id)
    if offer.emergency and redis.call('HEXISTS', K.departed, offer.shift_id) == 1 then  -- it goes before what is only on the way
      local current = current_of(offer.shift_id)
      if current and state_of(current) == 'en_route' and not is_emergency(current) then
        trail_drop(offer.shift_id, current)
        current = nil
      end
      if not current then drive_to(offer.shift_id, stop) end
    end
    trigger('offer_accepted', order, rev, now)
  end
  recorded('recorded')
  return {'recorded'}
end

if not fact then
  if not theirs or TERMINAL[state] then return {'refused'} end
  local rev = emit('stop.' .. kind, body)
  if kind == 'declined' or kind == 'skipped' then
    if trail_has(shift, stop) then trail_drop(shift, stop) end
    if kind == 'declined' then add_name(K.declined, order, driver) end
    if redis.call('HGET', K.held, order) == driver and release(order, now) and kind == 'skipped' then
      add_name(K.passed, order, driver)
    end
    touch(order, rev)
    advance(shift, stop)
    trigger('stop_' .. kind, stop, rev, now)
  elseif kind == 'en_route' then
    depart(shift, at, stop)
    local current = current_of(shift)
    if current ~= stop then
      if current and state_of(current) == 'en_route' then trail_drop(shift, current) end
      if not current or state_of(current) ~= 'arrived' then
        drive_to(shift, stop)
        trigger('stop_conflict', stop, rev, now)
      end
    end
  end
  recorded('recorded')
  return {'recorded'}
end

local rev = emit('stop.' .. kind, body)
if fact and shift ~= '' and redis.call('HEXISTS', K.rested, shift) == 1 then rest(shift, 'on_duty', at, at) end  -- who works does not rest
local result, told = theirs and 'recorded' or 'conflict', ''
local over = shift ~= '' and redis.call('HEXISTS', K.returned, shift) == 1  -- what comes so late no longer puts goods on the vehicle
local guessed = redis.call('HGET', K.progress, stop .. '|inferred')  -- what was, and not reported yet

-- What shows how it went: of the report that counts, whole.
local function prove()
  if #ARGV < 11 then return end
  local of = string.match(ARGV[10], '^(.*proof_)')
  redis.call('HDEL', PERSONAL, of .. 'note', of .. 'code', of .. 'signed_by', of .. 'photos', of .. 'reason')
  redis.call('HSET', PERSONAL, unpack(ARGV, 10))
  keep_personal(PERSONAL)
end

-- Nobody has said so, but a reload is over since before a moment.
local function reloaded(there, moment)
  first(there .. '|arrived', moment - 1)
  redis.call('HSET', K.progress, there .. '|state', 'completed', there .. '|left', moment - 1, there .. '|inferred', 'completed')
  redis.call('HDEL', K.progress, there .. '|since', there .. '|reached')
  unexpect(there)
  trail_add(shift, there)
  reload(shift, there, moment - 1, rev)
end

-- Who comes to another stop has left the depot.
local function reloaded_since()
  local stops = words(redis.call('HGET', K.trail, shift))
  for _, there in ipairs(stops) do
    if is_reload(there) and state_of(there) == 'arrived' then
      local came, after = tonumber(redis.call('HGET', K.progress, there .. '|arrived')), math.huge
      for _, other in ipairs(stops) do
        local reached = tonumber(redis.call('HGET', K.progress, other .. '|arrived'))
        if reached and reached > came then after = math.min(after, reached) end
      end
      if after < math.huge then reloaded(there, after) end
    end
  end
end

-- Who comes with what is loaded at a reload has been there, reported or not: at the last one before the stop in the route, and before
-- the first stop behind that. A stop may have failed without anybody having come.
local function reloaded_before()
  if not at_depot(shift, stop) or redis.call('HGET', K.goods, order) then return end
  if kind == 'failed' and redis.call('HEXISTS', K.progress, stop .. '|arrived') == 0 then return end
  local last, after, found
  for _, other in ipairs(words(redis.call('HGET', K.sequences, shift))) do
    local reached = tonumber(redis.call('HGET', K.progress, other .. '|arrived')) or other == stop and tonumber(at)
    if is_reload(other) then
      last, after = other, math.huge
    elseif last and reached then
      after = math.min(after, reached)
    end
    found = found or other == stop
    if found then break end
  end
  if found and last and not TERMINAL[state_of(last)] then reloaded(last, after) end
end

-- Nobody is at, or drives to, a stop of a transport that is over: who has delivered has picked up, all else is given up.
local function finish()
  if redis.call('SISMEMBER', K.open, order) == 1 then return end
  for _, part in ipairs({order .. '.pickup', order .. '.delivery'}) do
    local begun, carrier = state_of(part), redis.call('HGET', K.stop_shift, part)
    if begun and not TERMINAL[begun] and carrier and trail_has(carrier, part) then
      local delivery = order .. '.delivery'
      if state_of(delivery) == 'completed' and redis.call('HGET', K.stop_shift, delivery) == carrier then
        local left = redis.call('HGET', K.progress, part .. '|arrived') or redis.call('HGET', K.progress, delivery .. '|left')
        first(part .. '|arrived', left)
        redis.call('HSET', K.progress, part .. '|state', 'completed', part .. '|left', left, part .. '|inferred', 'completed')
        redis.call('HDEL', K.progress, part .. '|since', part .. '|reached')
      else
        trail_drop(carrier, part)
        if carrier ~= shift then advance(carrier) end
      end
      unexpect(part)
    end
  end
end

if kind == 'loaded' then
  local goods = string.sub(stop, -9) == '.delivery' and not on_its_way(order)
  if not TERMINAL[state] and shift ~= '' and not over and goods then redis.call('HSET', K.goods, order, shift) end
  touch(order, rev)
elseif TERMINAL[state] and state ~= 'cancelled' then
  local left, others_done = tonumber(redis.call('HGET', K.progress, stop .. '|left')), false
  for _, other in ipairs(KINDS) do
    others_done = others_done or (order .. '.' .. other ~= stop and TERMINAL[state_of(order .. '.' .. other)])
  end
  local earlier = not left or tonumber(at) <= left
  if kind == 'arrived' and guessed == 'completed' and theirs and not over and not earlier and not others_done
      and trail_has(shift, stop) then  -- he had not been there at all
    local current = current_of(shift)
    if current and state_of(current) == 'en_route' then trail_drop(shift, current) end
    redis.call('HSET', K.progress, stop .. '|state', 'arrived', stop .. '|arrived', at)
    redis.call('HDEL', K.progress, stop .. '|left', stop .. '|inferred')
    if is_reload(stop) then
      unload(shift, stop, rev)
    else
      redis.call('SADD', K.open, order)
      redis.call('ZREM', K.closed, order)
      if string.sub(stop, -9) == '.delivery' then redis.call('HSET', K.goods, order, shift) else redis.call('HDEL', K.goods, order) end
      local dispatch = cjson.decode(redis.call('HGET', K.orders, order)).dispatch
      if dispatch and dispatch ~= 'planned' then redis.call('HSET', K.held, order, driver) end
    end
    touch(order, rev)
    trigger('stop_conflict', stop, rev, now)
  elseif kind == 'arrived' then
    if earlier then first(stop .. '|arrived', at, guessed) end
  elseif theirs and guessed == 'completed' then
    redis.call('HSET', K.progress, stop .. '|state', kind, stop .. '|left', at)
    first(stop .. '|arrived', at)  -- if he is guessed to have come later than that
    prove()
    if kind == 'failed' then
      if string.sub(stop, -9) == '.delivery' and shift ~= '' and not over then redis.call('HSET', K.goods, order, shift) end
      if string.sub(stop, -11) == '.collection' or string.sub(stop, -7) == '.pickup' then redis.call('HDEL', K.goods, order) end
      if string.sub(stop, -7) == '.pickup' then close_order(order) end
      if is_reload(stop) then unload(shift, stop, rev) end
      touch(order, rev)
      trigger('stop_failed', stop, rev, now)
    end
    if is_reload(stop) and kind == 'completed' and not over then reload(shift, stop, at, rev) end
    redis.call('HDEL', K.progress, stop .. '|inferred', stop .. '|loaded')
  elseif theirs and kind == state and redis.call('HEXISTS', PERSONAL, ARGV[10] or '') == 0 then
    prove()  -- which the first report had left out
  end
elseif state == 'cancelled' and kind == 'arrived' then
  result = 'conflict'
elseif over and kind == 'arrived' then  -- he has come back since: it is open, or somebody else's
  redis.call('HSET', K.progress, stop .. '|reached', shift .. ' ' .. at)
else
  if shift ~= '' then
    depart(shift, at, stop)
    if not over then reloaded_before() end
  end
  if shift ~= '' and (redis.call('HEXISTS', K.held, order) == 1 or redis.call('SISMEMBER', K.unmatched, order) == 1) then
    end_offer(order, 'withdrawn')  -- whoever is there has it
    redis.call('SREM', K.unmatched, order)
    local carrier = redis.call('HGET', K.goods, order)
    if not carrier or carrier == shift then redis.call('HSET', K.held, order, driver) end
  end
  if holder and not theirs and trail_has(holder, stop) then
    trail_drop(holder, stop)
    advance(holder, stop)
  end
  local current = shift ~= '' and current_of(shift) or nil
  local jumped = current and current ~= stop
  if jumped and state_of(current) == 'en_route' then trail_drop(shift, current) end
  if state == 'cancelled' then result = 'conflict' end
  if shift ~= '' then
    trail_add(shift, stop)
    redis.call('HSET', K.stop_shift, stop, shift)  -- a fact beats the plan, at once
  end
  touch(order, rev)
  if state ~= 'arrived' and theirs then told = judge(stop, at) else unexpect(stop) end
  first(stop .. '|arrived', at, guessed and kind == 'arrived')
  if kind == 'arrived' then
    redis.call('HSET', K.progress, stop .. '|state', 'arrived')
  else
    local reached = words(redis.call('HGET', K.progress, stop .. '|reached'))
    if reached[1] == shift then first(stop .. '|arrived', reached[2]) end
    redis.call('HDEL', K.progress, stop .. '|reached', stop .. '|since')
    redis.call('HSET', K.progress, stop .. '|state', kind, stop .. '|left', at)
    prove()
    local picked_up = kind == 'completed' and string.sub(stop, -7) == '.pickup'
    if not picked_up and not is_reload(stop) then close_order(order) end
    if is_reload(stop) then
      touch(shift, rev)  -- no plan that was made before puts anything into its trip
      if kind == 'completed' and not over then reload(shift, stop, at, rev) end
    end
    if kind == 'completed' and string.sub(stop, -9) == '.delivery' then redis.call('HDEL', K.goods, order) end
    local taken = picked_up and (redis.call('SISMEMBER', K.open, order) == 1 or state_of(order .. '.delivery') == 'failed')
    if (taken or (kind == 'completed' and string.sub(stop, -11) == '.collection')) and shift ~= '' and not over then
      redis.call('HSET', K.goods, order, shift)
    end
    if kind == 'failed' then trigger('stop_failed', stop, rev, now) end
  end
  if inferred then
    redis.call('HSET', K.progress, stop .. '|inferred', kind)
  else
    redis.call('HDEL', K.progress, stop .. '|inferred', stop .. '|loaded')
  end
  finish()
  if shift ~= '' and not over then reloaded_since() end
  if shift ~= '' then advance(shift) end
  if jumped and theirs then trigger('stop_conflict', stop, rev, now) end
end
if shift ~= '' then
  trail_sort(shift)
  local current = over and current_of(shift)
  if current then trail_drop(shift, current) end
end
if result == 'conflict' then trigger('stop_conflict', stop, rev, now) end
if not inferred then recorded(result) end  -- what is only inferred is neither heard of the driver, nor said for good
return {result, '', told}
