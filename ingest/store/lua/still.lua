-- Nobody is on the road and heard of: the depot's drivers need not be looked at, until one is heard of again.
-- KEYS: all of keys.py. ARGV: none. -> 1, or 0 if somebody is
local shifts = redis.call('HGETALL', K.shift_driver)
for i = 1, #shifts, 2 do
  if redis.call('HEXISTS', K.departed, shifts[i]) == 1 and redis.call('HEXISTS', K.returned, shifts[i]) == 0
      and redis.call('HEXISTS', K.absent, shifts[i + 1]) == 0 then return 0 end
end
return redis.call('ZREM', K.moving, DEPOT)
