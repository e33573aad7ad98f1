-- Cancel open orders that were not to be accepted after all: their external ids are free again, and nobody is waited for.
-- KEYS: all of keys.py, then what the keys of personal hashes begin with.
-- ARGV: now (real s), now (depot s), a JSON array of [id, stop ids (with spaces between), 'shipper|external_id' or '']
local now, at, planned = ARGV[1], ARGV[2], false
for _, row in ipairs(cjson.decode(ARGV[3])) do
  local id, external = row[1], row[3]
  if redis.call('SISMEMBER', K.open, id) == 1 then
    if external ~= '' and redis.call('HGET', K.external, external) == id then redis.call('HDEL', K.external, external) end
    redis.call('DEL', PERSONAL .. id)
    local rev, waits = cancel(id, words(row[2]), cjson.encode({order_id = id, import = 'withdrawn'}), at)
    if waits and not planned then
      planned = true
      trigger('order_cancelled', id, rev, now)
    end
  end
end
return 1
