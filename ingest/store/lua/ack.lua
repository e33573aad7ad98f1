-- A driver has seen a version of the route. An older one that comes later changes nothing.
-- KEYS: all of keys.py. ARGV: driver, route version. -> {'acknowledged'|'unknown', newest version acknowledged, newest there is}
local driver, version = ARGV[1], tonumber(ARGV[2])
local newest = tonumber(redis.call('HGET', K.route_versions, driver) or '0')
local known = tonumber(redis.call('HGET', K.acks, driver) or '0')
if version > newest then return {'unknown', tostring(known), tostring(newest)} end
if version > known then
  redis.call('HSET', K.acks, driver, version)
  emit('route.acknowledged', cjson.encode({driver_id = driver, route_version = version}))
  local timer, after = DEPOT .. ' unacknowledged ' .. driver, cjson.decode(redis.call('GET', K.depot)).policy.ack_after
  redis.call('ZREM', K.timers, timer)
  if version < newest and type(after) == 'number' then redis.call('ZADD', K.timers, redis.call('TIME')[1] + after, timer) end
end
return {'acknowledged', tostring(math.max(version, known)), tostring(newest)}
