-- Accept an order: idempotent by key and by the shipper's own id, durable, and dirty from this moment.
-- KEYS: all of keys.py, then the order's personal hash, then the idempotency key's answer.
-- ARGV: id, document, fingerprint, external ('shipper|external_id' or ''), event body, now (real s),
--       once ttl (0: no idempotency key), when it is to be matched (real s; '' if it waits for a plan), 'dry' to change
--       nothing and 'again' if it may take the external id of a cancelled one (in one text), the depot's revision if that must be the one ('' for any), when it is cancelled unless it is confirmed (real s; ''
--       for never), number of personal fields, their names and values.
-- -> {'created', order id, its revision}, {'replayed'|'key_reused'|'duplicate'|'cancelled', order id}, {'full', how many may be open}, or {'stale'}
local id, document, print_, external, body, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local once_ttl, matched_at, dry, fields = tonumber(ARGV[7]), ARGV[8], string.find(ARGV[9], 'dry', 1, true), tonumber(ARGV[12])
if once_ttl > 0 then
  local known = redis.call('GET', ONCE)
  if known then
    local print_before, order = string.match(known, '^(%S+) (%S+)$')
    return {print_before == print_ and 'replayed' or 'key_reused', order}
  end
end
if external ~= '' then
  local order = redis.call('HGET', K.external, external)
  if order and is_cancelled(order) then
    if not string.find(ARGV[9], 'again', 1, true) then return {'cancelled', order} end
  elseif order then
    local same = redis.call('HGET', K.fingerprints, order) == print_
    return {same and 'replayed' or 'duplicate', order}
  end
end
local most = cjson.decode(redis.call('GET', K.depot)).policy.max_open_orders
if redis.call('SCARD', K.open) >= most then return {'full', tostring(most)} end
if dry then return {'created', id, '0'} end
if ARGV[10] ~= '' and redis.call('GET', K.rev) ~= ARGV[10] then return {'stale'} end
if external ~= '' then redis.call('HSET', K.external, external, id) end
local rev = emit('order.created', body)
redis.call('HSET', K.orders, id, document)
redis.call('HSET', K.fingerprints, id, print_)
redis.call('SADD', K.open, id)
redis.call('ZADD', K.order_index, rev, id)
touch(id, rev)
if fields > 0 then
  redis.call('HSET', PERSONAL, unpack(ARGV, 13, 12 + 2 * fields))
  keep_personal(PERSONAL, document)
end
if once_ttl > 0 then redis.call('SET', ONCE, print_ .. ' ' .. id, 'EX', once_ttl) end
if ARGV[11] ~= '' then redis.call('ZADD', K.timers, ARGV[11], DEPOT .. ' reservation_over ' .. id) end
if matched_at ~= '' then
  seek(id, matched_at)
else
  trigger('order_new', id, rev, now)
end
return {'created', id, tostring(rev)}
