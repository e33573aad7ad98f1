-- Nobody is on the road and heard of, and what is to be expected under this plan is written: the depot's drivers need not be looked at,
-- until one is heard of again, or another plan is published.
-- KEYS: all of keys.py. ARGV: the plan's version. -> 1, or 0 if that is not so
if (redis.call('GET', K.version) or '0') ~= ARGV[1] then return 0 end
local shifts = redis.call('HGETALL', K.shift_driver)
for i = 1, #shifts, 2 do
  if redis.call('HEXISTS', K.departed, shifts[i]) == 1 and redis.call('HEXISTS', K.returned, shifts[i]) == 0
      and redis.call('HEXISTS', K.absent, shifts[i + 1]) == 0 then return 0 end
end
return redis.call('ZREM', K.moving, DEPOT)
