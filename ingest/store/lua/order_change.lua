-- Replace an open order's document if nobody else has since, and its stop has not been started.
-- KEYS: all of keys.py, then the order's personal hash.
-- ARGV: id, stop ids (with spaces between), document, expected record revision, fingerprint, event body, now (real s),
--       'dry' to change nothing or 'whole' to keep nothing of the recipient, number of personal fields, their names and values.
-- -> {'changed', its revision}, or {'closed'|'started'|'stale', state}
local id, stops, document, expected, print_, body, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local state
for _, stop in ipairs(words(stops)) do state = state or state_of(stop) end
if redis.call('SISMEMBER', K.open, id) == 0 then return {'closed', state or ''} end
if state then return {'started', state} end
if redis.call('HGET', K.record_rev, id) ~= expected then return {'stale'} end
if ARGV[8] == 'dry' then return {'changed', expected} end
local rev = emit('order.changed', body)
redis.call('HSET', K.orders, id, document)
redis.call('HSET', K.fingerprints, id, print_)
touch(id, rev)
aside_as(id, 'on_trial')  -- if it was aside: it may be well now
if ARGV[8] == 'whole' then redis.call('HDEL', PERSONAL, 'name', 'phone', 'note') end
local fields = tonumber(ARGV[9])
if fields > 0 then
  redis.call('HSET', PERSONAL, unpack(ARGV, 10, 9 + 2 * fields))
end
if redis.call('EXISTS', PERSONAL) == 1 then keep_personal(PERSONAL, document) end
if end_offer(id, 'withdrawn') or redis.call('SISMEMBER', K.unmatched, id) == 1 then
  seek(id, now)
else
  trigger('order_changed', id, rev, now)
end
return {'changed', tostring(rev)}
