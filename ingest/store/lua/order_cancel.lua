-- Cancel an order; a driver on the way to it is sent on.
-- KEYS: all of keys.py. ARGV: id, stop id, event body, now (real s), now (depot s).
-- -> {'cancelled'|'already'|'closed', state}
local id, stop, body, now, at = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local state = state_of(stop)
if redis.call('SISMEMBER', K.open, id) == 0 then
  return {state == 'cancelled' and 'already' or 'closed', state or ''}
end
local rev = emit('order.cancelled', body)
redis.call('HSET', K.progress, stop .. '|state', 'cancelled', stop .. '|left', at)
close_order(id)
touch(id, rev)
local shift = redis.call('HGET', K.stop_shift, stop)
if shift then advance(shift) end
trigger('order_cancelled', id, rev, now)
return {'cancelled'}
