-- Say of orders and road events whether plans are made without them.
-- KEYS: all of keys.py. ARGV: 'waiting'|'on_trial'|'guilty'|'free', what went wrong, now (real s), then their ids.
-- -> the ids of those that are still there, and were aside before unless they become 'waiting'
local state, failure, now = ARGV[1], ARGV[2], ARGV[3]
local found = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local there = redis.call('SISMEMBER', K.open, id) == 1 or redis.call('HEXISTS', K.road_events, id) == 1
  if there and state == 'waiting' then redis.call('HSETNX', K.aside, id, cjson.encode({since = tonumber(now)})) end
  if there and aside_as(id, state, failure ~= '' and failure or nil) then found[#found + 1] = id end
  if not there or state == 'free' then redis.call('HDEL', K.aside, id) end
end
if #found == 0 then return found end
if state == 'waiting' then redis.call('ZADD', K.timers, tonumber(now) + READMIT_S, DEPOT .. ' order_readmitted ' .. DEPOT) end
local rev = emit('aside.' .. state, cjson.encode({ids = found}))
for _, id in ipairs(found) do
  if state ~= 'free' then touch(id, rev) end
  if state == 'on_trial' and redis.call('HEXISTS', K.road_events, id) == 1 then
    redis.call('INCR', K.roads)
    trigger('roads_changed', id, rev, now)
    trigger('order_readmitted', id, rev, now)
  elseif state == 'on_trial' then
    trigger('order_readmitted', id, rev, now)
  end
end
return found
