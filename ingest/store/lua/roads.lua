-- Close or slow streets, or end that early.
-- KEYS: all of keys.py. ARGV: 'put'|'drop', id, document, event body, now (real s), start (real s), end (real s).
-- -> 1, or 0 if there is nothing to end, or no room for more
local verb, id, document, body, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local first, last = DEPOT .. ' road_start ' .. id, DEPOT .. ' road_end ' .. id
if verb == 'drop' then
  if redis.call('HDEL', K.road_events, id) == 0 then return 0 end
  redis.call('ZREM', K.timers, first, last)
else
  if redis.call('HLEN', K.road_events) >= cjson.decode(redis.call('GET', K.depot)).policy.max_records then return 0 end
  redis.call('HSET', K.road_events, id, document)
  if tonumber(ARGV[6]) > tonumber(now) then redis.call('ZADD', K.timers, ARGV[6], first) end
  redis.call('ZADD', K.timers, ARGV[7], last)
end
redis.call('INCR', K.roads)
local rev = emit(verb == 'put' and 'roads.changed' or 'roads.ended', body)
if verb == 'drop' or tonumber(ARGV[6]) <= tonumber(now) then trigger('roads_changed', id, rev, now) end
return 1
