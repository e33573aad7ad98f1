-- Something the clock brings: a timer, or a driver not heard of. Fires once, whoever asks first.
-- KEYS: all of keys.py, then the subject's personal hash. ARGV: 'timer'|'silence', member, kind, subject, now (real s).
-- -> 1 if this call fired it
local source, member, kind, subject, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local zset = source == 'timer' and K.timers or K.heard
local score = redis.call('ZSCORE', zset, member)
if not score or tonumber(score) > tonumber(now) then return 0 end
redis.call('ZREM', zset, member)
if kind == 'offer_expired' then
  local driver = end_offer(subject, 'expired')
  if not driver then return 0 end
  emit('offer.expired', cjson.encode({order_id = subject, driver_id = driver}))
  add_name(K.passed, subject, driver)
  seek(subject, now)
  return 1
end
if kind == 'reservation_over' then
  local order = cjson.decode(redis.call('HGET', K.orders, subject) or '{}')
  if redis.call('SISMEMBER', K.open, subject) == 0 or type(order.reserved_until) ~= 'number' then return 0 end
  local clock = cjson.decode(redis.call('GET', K.depot)).clock
  local at = math.floor(clock.depot_zero + clock.scale * (tonumber(now) - clock.real_zero))
  local stops = {}
  if type(order.pickup) == 'table' then stops[1] = subject .. '.pickup' end
  stops[#stops + 1] = subject .. '.' .. (order.kind == 'transport' and 'delivery' or order.kind)
  if type(order.external_id) == 'string' then  -- nobody has ordered: the shipper's id is free for who does
    local external = order.shipper .. '|' .. order.external_id
    if redis.call('HGET', K.external, external) == subject then redis.call('HDEL', K.external, external) end
  end
  redis.call('DEL', PERSONAL)  -- nobody is waited for
  local rev = cancel(subject, stops, cjson.encode({order_id = subject, reservation = 'over'}), at)
  trigger(kind, subject, rev, now)
  return 1
end
if kind == 'unacknowledged' then
  local version = tonumber(redis.call('HGET', K.route_versions, subject) or '0')
  if tonumber(redis.call('HGET', K.acks, subject) or '0') >= version or not on_the_road(subject) then return 0 end
end
local pause = kind == 'driver_silent' and words(redis.call('HGET', K.breaks, subject))[2]
if pause and tonumber(pause) > tonumber(now) then  -- who has a break may be silent
  redis.call('ZADD', zset, pause, member)
  return 0
end
if kind == 'driver_silent' then
  redis.call('ZREM', K.near, subject)
  let_go(subject, now)
  if not on_the_road(subject) or redis.call('HEXISTS', K.absent, subject) == 1 then return 0 end
  redis.call('HSET', K.absent, subject, 'silent')
  expect_nothing(subject)
elseif kind == 'road_start' or kind == 'road_end' then
  redis.call('INCR', K.roads)
  if kind == 'road_end' then redis.call('HDEL', K.road_events, subject) end
  kind = 'roads_changed'
end
if kind == 'order_readmitted' then
  local waits = false
  for _, text in ipairs(redis.call('HVALS', K.aside)) do waits = waits or cjson.decode(text).state ~= 'guilty' end
  if not waits then return 0 end
  redis.call('ZADD', K.timers, tonumber(now) + READMIT_S, member)
end
if kind == 'periodic' then
  local every = cjson.decode(redis.call('GET', K.depot)).policy.periodic
  if type(every) ~= 'number' then return 0 end
  redis.call('ZADD', K.timers, tonumber(now) + every, member)
end
local rev = emit(kind, cjson.encode({subject = subject}))
if kind == 'break_over' then
  redis.call('HSET', K.duty, subject .. '|rested', words(redis.call('HGET', K.breaks, subject))[1] or '0')
  redis.call('HDEL', K.breaks, subject)
end
if kind == 'shift_started' then redis.call('ZADD', K.moving, 'NX', now, DEPOT) end
if kind == 'driver_silent' or kind == 'break_over' then touch(subject, rev) end
trigger(kind, subject, rev, now)
return 1
