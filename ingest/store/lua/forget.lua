-- What is over for so long that the depot's policy lets it go: shifts, and orders that no remaining shift has to do with.
-- KEYS: all of keys.py. ARGV: closed before (real s), ended before (depot s), how many at most, then, to drop them: the ids of
--       those that are archived. What has become over meanwhile waits until it is, too.
-- -> the documents: shifts, orders
local closed, ended, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local archived = {}
for i = 4, #ARGV do archived[ARGV[i]] = true end
local drop = #ARGV > 3
local shifts, gone = {}, {}
local orders, stops = {}, {}
local all = redis.call('HGETALL', K.shifts)
for i = 1, #all, 2 do
  local shift = cjson.decode(all[i + 1])
  if #shifts < most and (archived[all[i]] or not drop) and shift['end'] < ended then
    shifts[#shifts + 1] = all[i + 1]
    gone[all[i]] = true
    for number = 1, shift.reloads or 0 do stops[all[i] .. '.' .. number] = {all[i] .. '.' .. number .. '.reload'} end
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.closed, '-inf', closed, 'LIMIT', 0, most)) do
  local document = redis.call('HGET', K.orders, id)
  local mine, held = {}, drop and document and not archived[id]
  for _, kind in ipairs(KINDS) do
    local stop = id .. '.' .. kind
    local shift = redis.call('HGET', K.stop_shift, stop)
    held = held or (shift and not gone[shift] and redis.call('HEXISTS', K.shifts, shift) == 1)
    mine[#mine + 1] = stop
  end
  if not held then
    if document then orders[#orders + 1] = document end
    stops[id] = mine
  end
end
if not drop then return {shifts, orders} end
for shift, _ in pairs(gone) do
  for _, stop in ipairs(words(redis.call('HGET', K.trail, shift))) do  -- what was never finished is open again
    if not TERMINAL[state_of(stop)] then redis.call('HDEL', K.progress, stop .. '|state', stop .. '|arrived', stop .. '|inferred', stop .. '|since') end
  end
  for _, stop in ipairs(words(redis.call('HGET', K.sequences, shift))) do
    if redis.call('HGET', K.stop_shift, stop) == shift then redis.call('HDEL', K.stop_shift, stop) end
  end
  for _, key in ipairs({K.shifts, K.shift_driver, K.departed, K.returned, K.trail, K.sequences, K.record_rev, K.foreseen, K.rested}) do
    redis.call('HDEL', key, shift)
  end
  redis.call('HDEL', K.fingerprints, 'shifts|' .. shift)
end
local goods = redis.call('HGETALL', K.goods)
for i = 1, #goods, 2 do
  if gone[goods[i + 1]] then redis.call('HDEL', K.goods, goods[i]) end
end
for id, mine in pairs(stops) do
  local document = redis.call('HGET', K.orders, id)
  if document then
    local order = cjson.decode(document)
    if type(order.external_id) == 'string' then redis.call('HDEL', K.external, order.shipper .. '|' .. order.external_id) end
  end
  for _, key in ipairs({K.orders, K.fingerprints, K.record_rev, K.goods, K.declined, K.unassigned, K.timelines}) do redis.call('HDEL', key, id) end
  redis.call('ZREM', K.order_index, id)
  redis.call('ZREM', K.closed, id)
  for _, stop in ipairs(mine) do
    redis.call('HDEL', K.progress, stop .. '|state', stop .. '|arrived', stop .. '|left', stop .. '|inferred', stop .. '|reached',
               stop .. '|since', stop .. '|loaded')
    redis.call('HDEL', K.stop_shift, stop)
    unexpect(stop)
  end
end
return {shifts, orders}
