-- Cancel an order; a driver on the way to it is sent on.
-- KEYS: all of keys.py. ARGV: id, stop ids (with spaces between), event body, now (real s), now (depot s), expected record revision
--       ('' for any), 'dry' to change nothing.
-- -> {'cancelled', its revision}, or {'already'|'closed'|'stale', state}
local id, stops, body, now, at = ARGV[1], words(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local state = state_of(stops[#stops])
if redis.call('SISMEMBER', K.open, id) == 0 then
  return {state == 'cancelled' and 'already' or 'closed', state or ''}
end
if ARGV[6] ~= '' and redis.call('HGET', K.record_rev, id) ~= ARGV[6] then return {'stale'} end
if ARGV[7] == 'dry' then return {'cancelled', ARGV[6]} end
local rev, planned = cancel(id, stops, body, at)
if planned then trigger('order_cancelled', id, rev, now) end
return {'cancelled', tostring(rev)}
