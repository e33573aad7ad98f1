-- Accept orders of a file, each once: its id is known before, so that what is written again is found.
-- KEYS: all of keys.py, then what the keys of personal hashes begin with.
-- ARGV: now (real s), a JSON array of [id, document, fingerprint, 'shipper|external_id' or '', {personal fields}]
-- They ask for no repair by themselves: whoever writes a whole file does, at its end.
-- -> for each {'created'|'replayed'|'duplicate', id of the order there is} or {'full', how many may be open}
local now, rows, results, created = ARGV[1], cjson.decode(ARGV[2]), {}, {}
local most = cjson.decode(redis.call('GET', K.depot)).policy.max_open_orders
local open = redis.call('SCARD', K.open)
for i, row in ipairs(rows) do
  local id, document, print_, external = row[1], row[2], row[3], row[4]
  local known = external ~= '' and redis.call('HGET', K.external, external)
  if redis.call('HEXISTS', K.orders, id) == 1 then
    results[i] = {'replayed', id}
  elseif known then
    results[i] = {redis.call('HGET', K.fingerprints, known) == print_ and 'replayed' or 'duplicate', known}
  elseif open >= most then
    results[i] = {'full', tostring(most)}
  else
    open = open + 1
    if external ~= '' then redis.call('HSET', K.external, external, id) end
    local rev = emit('order.created', '{"order_id":"' .. id .. '"}')
    redis.call('HSET', K.orders, id, document)
    redis.call('HSET', K.fingerprints, id, print_)
    redis.call('SADD', K.open, id)
    redis.call('ZADD', K.order_index, rev, id)
    touch(id, rev)
    local personal = PERSONAL .. id
    for name, value in pairs(row[5]) do redis.call('HSET', personal, name, value) end
    if next(row[5]) then keep_personal(personal) end
    created[#created + 1] = {id, rev}
    results[i] = {'created', id}
  end
end
triggers('order_new', created, now, true)
return results
