-- What a driver reports of the shift or of duty.
-- KEYS: all of keys.py, then the answer of this event id.
-- ARGV: driver, shift, type ('departed'|'returned'|'on_duty'|'off_duty'|'broken_down'|'on_break'|'off_break'), occurred at (depot
--       s), event body, now (real s), once ttl, deadline of the next ping (real s), for a break until when (depot s, real s), when it
--       occurred to the fraction of a second.
-- -> {'recorded'|'no_shift'|'reused', 'replayed' if seen before}
local driver, shift, kind, at, body, now, ttl, deadline = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local known = redis.call('GET', ONCE)
if known then
  if known ~= 'recorded ' .. kind then return {'reused'} end
  return {'recorded', 'replayed'}
end
if shift == '' and (kind == 'departed' or kind == 'returned') then return {'no_shift'} end
local rev = emit('driver.' .. kind, body)
local exact = tonumber(ARGV[11])
if shift ~= '' and (kind == 'on_break' or kind == 'off_break' or kind == 'on_duty') then rest(shift, kind, at, ARGV[9]) end
local duty = kind ~= 'departed' and kind ~= 'returned'
if kind == 'departed' then
  depart(shift, at)
  hear(driver, deadline, now)
elseif kind == 'returned' then
  give_back(shift, at, rev)
  if not on_the_road(driver) then  -- else it is of an earlier shift, and comes late
    redis.call('ZREM', K.heard, DEPOT .. ' ' .. driver)
    redis.call('ZREM', K.near, driver)
    let_go(driver, now)
  end
  if redis.call('HGET', K.absent, driver) == 'silent' then redis.call('HDEL', K.absent, driver) end
  touch(driver, rev)
  trigger('driver_returned', driver, rev, now)
elseif exact < tonumber(redis.call('HGET', K.duty, driver) or exact) then
  hear(driver, deadline, now)  -- a newer report has come before it
elseif kind == 'on_break' or kind == 'off_break' then
  local timer = DEPOT .. ' break_over ' .. driver
  hear(driver, deadline, now)
  if kind == 'on_break' then
    redis.call('HSET', K.breaks, driver, ARGV[9] .. ' ' .. ARGV[10])
    redis.call('ZADD', K.timers, ARGV[10], timer)
    redis.call('ZREM', K.near, driver)
    let_go(driver, now)
  else
    redis.call('HDEL', K.breaks, driver)
    redis.call('ZREM', K.timers, timer)
  end
  touch(driver, rev)
  trigger('driver_' .. kind, driver, rev, now)
elseif kind == 'off_duty' or kind == 'broken_down' then
  redis.call('HSET', K.absent, driver, kind)
  redis.call('HDEL', K.breaks, driver)
  redis.call('ZREM', K.timers, DEPOT .. ' break_over ' .. driver)
  redis.call('ZREM', K.near, driver)
  let_go(driver, now)
  expect_nothing(driver)
  touch(driver, rev)
  trigger(kind == 'off_duty' and 'driver_off_duty' or 'vehicle_broken', driver, rev, now)
else
  redis.call('HDEL', K.absent, driver)
  redis.call('HDEL', K.breaks, driver)
  redis.call('ZREM', K.timers, DEPOT .. ' break_over ' .. driver)
  touch(driver, rev)
  hear(driver, deadline, now)
  trigger('driver_on_duty', driver, rev, now)
end
if duty and exact >= tonumber(redis.call('HGET', K.duty, driver) or exact) then redis.call('HSET', K.duty, driver, ARGV[11]) end
redis.call('SET', ONCE, 'recorded ' .. kind, 'EX', ttl)
return {'recorded'}
