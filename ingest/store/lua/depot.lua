-- Make a depot, or replace its document and ask for a re-solve under it.
-- KEYS: all of keys.py. ARGV: 'make'|'replace', document, now (real s). -> 1, or 0 if the id is taken
local verb, document, now = ARGV[1], ARGV[2], ARGV[3]
if verb == 'make' and redis.call('EXISTS', K.depot) == 1 then return 0 end
redis.call('SET', K.depot, document)
redis.call('SADD', K.depots, DEPOT)
local periodic = cjson.decode(document).policy.periodic
local timer = DEPOT .. ' periodic depot'
if type(periodic) == 'number' then
  redis.call('ZADD', K.timers, tonumber(now) + periodic, timer)
else
  redis.call('ZREM', K.timers, timer)
end
if verb == 'replace' then
  local rev = emit('depot.changed', cjson.encode({id = DEPOT}))
  trigger('requested', 'policy', rev, now)
end
return 1
