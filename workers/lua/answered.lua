-- A no-op: the plan in force already answers every trigger up to a revision.
-- KEYS: all of keys.py.
-- ARGV: version it was judged against, revision, 'improve' to ask for an improvement or '' to end one, now (real s).
-- -> 1, or 0 if the plan changed meanwhile
if (redis.call('GET', K.version) or '0') ~= ARGV[1] then return 0 end
redis.call('ZREMRANGEBYSCORE', K.triggers, '-inf', ARGV[2])
if redis.call('ZCARD', K.triggers) == 0 then redis.call('ZREM', K.dirty, DEPOT) end
if ARGV[3] == 'improve' then redis.call('ZADD', K.improvable, ARGV[4], DEPOT) else redis.call('ZREM', K.improvable, DEPOT) end
return 1
