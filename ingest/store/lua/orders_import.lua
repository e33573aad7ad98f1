-- Accept orders of a file, each once: its id is known before, so that what is written again is found.
-- KEYS: all of keys.py, then what the keys of personal hashes begin with.
-- ARGV: now (real s), a JSON array of [id, document, fingerprint, 'shipper|external_id' or '', {personal fields}], a thousand at most
-- They ask for no repair by themselves: whoever writes a whole file does, at its end.
-- -> for each {'created'|'replayed'|'duplicate', id of the order there is} or {'full', how many may be open}
local now, rows, results, new = ARGV[1], cjson.decode(ARGV[2]), {}, {}
local policy = cjson.decode(redis.call('GET', K.depot)).policy
local open = redis.call('SCARD', K.open)
for i, row in ipairs(rows) do
  local id, print_, external = row[1], row[3], row[4]
  local known = external ~= '' and redis.call('HGET', K.external, external)
  if redis.call('HEXISTS', K.orders, id) == 1 then
    results[i] = {'replayed', id}
  elseif known then
    results[i] = {redis.call('HGET', K.fingerprints, known) == print_ and 'replayed' or 'duplicate', known}
  elseif open >= policy.max_open_orders then
    results[i] = {'full', tostring(policy.max_open_orders)}
  else
    open = open + 1
    new[#new + 1] = row
    results[i] = {'created', id}
  end
end
if #new == 0 then return results end

-- What is written of all of them goes into each key at once: a call for each would take as long as all the rest.
local last = redis.call('INCRBY', K.rev, #new)
local orders, prints, externals, revisions, ids, index, subjects = {}, {}, {}, {}, {}, {}, {}
local function add(list, a, b)
  list[#list + 1] = a
  list[#list + 1] = b
end
for i, row in ipairs(new) do
  local id, rev = row[1], last - #new + i
  add(orders, id, row[2])
  add(prints, id, row[3])
  if row[4] ~= '' then add(externals, row[4], id) end
  add(revisions, id, rev)
  ids[i] = id
  add(index, rev, id)
  subjects[i] = {id, rev}
  redis.call('XADD', K.events, '*', 'depot', DEPOT, 'rev', rev, 'type', 'order.created', 'data', '{"order_id":"' .. id .. '"}')
  local fields = {}
  for name, value in pairs(row[5]) do add(fields, name, value) end
  if #fields > 0 then
    redis.call('HSET', PERSONAL .. id, unpack(fields))
    keep_personal(PERSONAL .. id, row[2])
  end
end
redis.call('HSET', K.orders, unpack(orders))
redis.call('HSET', K.fingerprints, unpack(prints))
if #externals > 0 then redis.call('HSET', K.external, unpack(externals)) end
redis.call('HSET', K.record_rev, unpack(revisions))
redis.call('SADD', K.open, unpack(ids))
redis.call('ZADD', K.order_index, unpack(index))
triggers('order_new', subjects, now, true)
return results
