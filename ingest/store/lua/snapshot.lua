-- The whole state of a depot at one revision, read in one step.
-- KEYS: all of keys.py. ARGV: none.
-- -> {rev, version, roads, drivers, vehicles, shifts, open orders, orders whose goods are on a vehicle or where drivers are or were last, goods,
--     declined, absent, positions, departed, returned, trail, progress of the stops in the trails (stop, state,
--     arrived, left), sequences, unassigned order ids, road events, record revisions, triggers,
--     the road state the plan in force was made on, triggers to improve upon, held orders, breaks, rests}; hashes as lists.
local function some(key, ids)
  local rows = {}
  for i = 1, #ids, 500 do
    local part = redis.call('HMGET', key, unpack(ids, i, math.min(i + 499, #ids)))
    for _, value in ipairs(part) do rows[#rows + 1] = value or '' end
  end
  return rows
end
local aside = {}  -- what re-solving failed on: planned without, unless it is on trial
local entries = redis.call('HGETALL', K.aside)
for i = 1, #entries, 2 do aside[entries[i]] = cjson.decode(entries[i + 1]).state ~= 'on_trial' end
local held = redis.call('HGETALL', K.held)
for _, id in ipairs(redis.call('SMEMBERS', K.unmatched)) do aside[id] = true end  -- what cannot wait is in no plan until it is held
local function without_aside(ids)
  local kept = {}
  for _, id in ipairs(ids) do
    if not aside[id] then kept[#kept + 1] = id end
  end
  return kept
end
local open = without_aside(redis.call('SMEMBERS', K.open))
local events = without_aside(redis.call('HKEYS', K.road_events))
local goods = redis.call('HGETALL', K.goods)
local closed = {}
for i = 1, #goods, 2 do closed[#closed + 1] = goods[i] end
local trail = redis.call('HGETALL', K.trail)
local progress = {}
for i = 2, #trail, 2 do
  local reached = {}
  for _, stop in ipairs(words(trail[i])) do
    local row = redis.call('HMGET', K.progress, stop .. '|state', stop .. '|arrived', stop .. '|left')
    progress[#progress + 1] = stop
    for k = 1, 3 do progress[#progress + 1] = row[k] or '' end
    if row[2] then reached[#reached + 1] = stop end
  end
  for k = math.max(1, #reached - 1), #reached do closed[#closed + 1] = order_of(reached[k]) end
end
return {
  redis.call('GET', K.rev) or '0', redis.call('GET', K.version) or '0', redis.call('GET', K.roads) or '0',
  redis.call('HGETALL', K.drivers), redis.call('HGETALL', K.vehicles), redis.call('HGETALL', K.shifts),
  some(K.orders, open), some(K.orders, closed), goods, redis.call('HGETALL', K.declined),
  redis.call('HKEYS', K.absent), redis.call('HGETALL', K.positions), redis.call('HGETALL', K.departed),
  redis.call('HGETALL', K.returned), trail, progress, redis.call('HGETALL', K.sequences),
  redis.call('HKEYS', K.unassigned), some(K.road_events, events), redis.call('HGETALL', K.record_rev),
  redis.call('ZRANGE', K.triggers, 0, -1), redis.call('GET', K.planned_on) or '',
  redis.call('ZRANGE', K.improving, 0, -1), held, redis.call('HGETALL', K.breaks), redis.call('HGETALL', K.rested),
}
