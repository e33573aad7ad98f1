-- The whole state of a depot at one revision, read in one step.
-- KEYS: all of keys.py. ARGV: none.
-- -> {rev, version, roads, drivers, vehicles, shifts, open orders, orders whose goods are on a vehicle or where drivers are or were last, goods,
--     declined, absent, positions, departed, returned, trail, progress of the stops in the trails (stop, state,
--     arrived, left), sequences, unassigned order ids, road events, record revisions, triggers,
--     the road state the plan in force was made on, triggers to improve upon, held orders, breaks, rests,
--     open orders that plans leave out}; hashes as lists.
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
  local kept, rest = {}, {}
  for _, id in ipairs(ids) do
    local list = aside[id] and rest or kept
    list[#list + 1] = id
  end
  return kept, rest
end
local open, left_out = without_aside(redis.call('SMEMBERS', K.open))
local events = without_aside(redis.call('HKEYS', K.road_events))

-- When a shift was last at the depot for more.
local reloaded = {}
local function last_reload(shift)
  if not reloaded[shift] then
    reloaded[shift] = -math.huge
    for _, stop in ipairs(words(redis.call('HGET', K.trail, shift))) do
      local left = is_reload(stop) and state_of(stop) == 'completed' and redis.call('HGET', K.progress, stop .. '|left')
      if left then reloaded[shift] = math.max(reloaded[shift], tonumber(left)) end
    end
  end
  return reloaded[shift]
end

-- Whether what no open order needs any more was handed over at the depot since.
local function handed_over(order, shift)
  if last_reload(shift) == -math.huge or redis.call('SISMEMBER', K.open, order) == 1 then return false end
  local over = -math.huge
  for _, kind in ipairs(KINDS) do
    over = math.max(over, tonumber(redis.call('HGET', K.progress, order .. '.' .. kind .. '|left') or over))
  end
  return over <= last_reload(shift)
end

local goods, closed, all = {}, {}, redis.call('HGETALL', K.goods)
for i = 1, #all, 2 do
  if not handed_over(all[i], all[i + 1]) then
    goods[#goods + 1], goods[#goods + 2] = all[i], all[i + 1]
    closed[#closed + 1] = all[i]
  end
end
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
  redis.call('ZRANGE', K.improving, 0, -1), held, redis.call('HGETALL', K.breaks), redis.call('HGETALL', K.rested), left_out,
}
