-- Make a depot, or replace its document; and ask for a re-solve under another policy.
-- KEYS: all of keys.py. ARGV: document, the one it replaces ('' to make a depot), now (real s).
-- -> 1, or 0 if the id is taken, or another one is to be replaced
local document, before, now = ARGV[1], ARGV[2], ARGV[3]
if (redis.call('GET', K.depot) or '') ~= before then return 0 end
redis.call('SET', K.depot, document)
redis.call('SADD', K.depots, DEPOT)
local rest = cjson.decode(document)
local known = before ~= '' and cjson.decode(before) or {policy = {}}
local periodic = rest.policy.periodic
local timer = DEPOT .. ' periodic depot'
if type(periodic) == 'number' then
  if known.policy.periodic ~= periodic then redis.call('ZADD', K.timers, tonumber(now) + periodic, timer) end
else
  redis.call('ZREM', K.timers, timer)
end
if before ~= '' then
  local rev = emit('depot.changed', cjson.encode({id = DEPOT}))
  rest.name, known.name = nil, nil
  if cjson.encode(rest) ~= cjson.encode(known) then trigger('requested', 'policy', rev, now) end
end
return 1
