-- Say of orders and road events whether plans are made without them.
-- KEYS: all of keys.py. ARGV: 'waiting'|'on_trial'|'guilty'|'free', what went wrong, now (real s), then their ids.
-- -> the ids of those that are still there, and were aside before unless they become 'waiting'
local state, failure, now = ARGV[1], ARGV[2], ARGV[3]
local found = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local known = redis.call('HGET', K.aside, id)
  local there = redis.call('SISMEMBER', K.open, id) == 1 or redis.call('HEXISTS', K.road_events, id) == 1
  if not there or state == 'free' then
    redis.call('HDEL', K.aside, id)
  elseif known or state == 'waiting' then
    local entry = known and cjson.decode(known) or {since = tonumber(now)}
    entry.state = state
    entry.failure = failure ~= '' and failure or entry.failure
    redis.call('HSET', K.aside, id, cjson.encode(entry))
  end
  if there and (known or state == 'waiting') then found[#found + 1] = id end
end
if #found == 0 then return found end
local rev = emit('aside.' .. state, cjson.encode({ids = found}))
for _, id in ipairs(found) do
  if state ~= 'free' then touch(id, rev) end
  if state == 'on_trial' then readmitted(id, rev, now) end
end
return found
