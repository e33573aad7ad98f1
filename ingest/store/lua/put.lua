-- Create or replace a driver, vehicle or shift.
-- KEYS: all of keys.py, then the record's personal hash.
-- ARGV: family ('drivers'|'vehicles'|'shifts'), id, document, fingerprint, event body, now (real s),
--       number of personal fields, their names and values, then for shifts: driver, vehicle, start, end,
--       and timers: trigger kind, when (real s).
-- -> {'created'|'same'|'conflict'|'unknown'|'overlap'|'full', detail}
local family, id, document, print_, body, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local fields = tonumber(ARGV[7])
local rest = 8 + 2 * fields
local known = redis.call('HGET', K.fingerprints, family .. '|' .. id)
if known then
  if known == print_ then return {'same'} end
  return {'conflict', id}
end
local most = cjson.decode(redis.call('GET', K.depot)).policy.max_records
if redis.call('HLEN', K[family]) >= most then return {'full', tostring(most)} end
if family == 'shifts' then
  local driver, vehicle, first, last = ARGV[rest], ARGV[rest + 1], tonumber(ARGV[rest + 2]), tonumber(ARGV[rest + 3])
  if redis.call('HEXISTS', K.drivers, driver) == 0 then return {'unknown', 'driver_id'} end
  if redis.call('HEXISTS', K.vehicles, vehicle) == 0 then return {'unknown', 'vehicle_id'} end
  for _, text in ipairs(redis.call('HVALS', K.shifts)) do
    local other = cjson.decode(text)
    if first < other['end'] and other.start < last and redis.call('HEXISTS', K.returned, other.id) == 0 then
      if other.driver_id == driver then return {'overlap', 'driver_id', other.id} end
      if other.vehicle_id == vehicle then return {'overlap', 'vehicle_id', other.id} end
    end
  end
  redis.call('HSET', K.shift_driver, id, driver)
  for i = rest + 4, #ARGV, 2 do
    if tonumber(ARGV[i + 1]) > tonumber(now) then redis.call('ZADD', K.timers, ARGV[i + 1], DEPOT .. ' ' .. ARGV[i] .. ' ' .. id) end
  end
end
redis.call('HSET', K[family], id, document)
redis.call('HSET', K.fingerprints, family .. '|' .. id, print_)
if fields > 0 then
  redis.call('HSET', PERSONAL, unpack(ARGV, 8, rest - 1))
  keep_personal(PERSONAL)
end
local rev = emit(family .. '.created', body)
touch(id, rev)
if family == 'shifts' then trigger('shift_changed', id, rev, now) end
return {'created'}
