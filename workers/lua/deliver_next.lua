-- When a depot has something to deliver next. KEYS: all of keys.py. ARGV: now (real s). -> 1 if nothing is due now
local next = tonumber(redis.call('ZRANGE', K.deliver_due, 0, 0, 'WITHSCORES')[2])
local newest = tonumber(redis.call('HGET', K.feed_seq, '') or '0')
if newest > tonumber(redis.call('GET', K.fanned) or '0') then next = tonumber(ARGV[1]) end
if next then redis.call('ZADD', K.deliverable, next, DEPOT) else redis.call('ZREM', K.deliverable, DEPOT) end
return (next and next <= tonumber(ARGV[1])) and 0 or 1
