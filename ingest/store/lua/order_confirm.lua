-- Keep a reserved order.
-- KEYS: all of keys.py. ARGV: id, document (not reserved any more), expected record revision, event body. -> 'confirmed'|'over'|'stale'
local id, document, expected, body = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local known = cjson.decode(redis.call('HGET', K.orders, id))
if type(known.reserved_until) ~= 'number' then return 'confirmed' end
if redis.call('SISMEMBER', K.open, id) == 0 then return 'over' end
if redis.call('HGET', K.record_rev, id) ~= expected then return 'stale' end
redis.call('HSET', K.orders, id, document)
redis.call('ZREM', K.timers, DEPOT .. ' reservation_over ' .. id)
touch(id, emit('order.confirmed', body))
return 'confirmed'
