-- What is to be expected of shifts on the road. Asks for a re-solve where more is too late than when it last asked, or where a
-- driver has gone away from the next stop. What was expected under another plan does not count.
-- KEYS: all of keys.py. ARGV: now (real s), the plan's version, late_after, detour_after (depot s), then for each shift: id,
--       driver, what is latest ('' if nothing), by how much more than planned (s), the stop being driven to ('' if none), seconds and
--       metres to it. Both must have grown: roads get slower by themselves.
-- -> how often it asked
local now, version, late_after, detour_after = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if (redis.call('GET', K.version) or '0') ~= version then return 0 end
local asked = 0
for i = 5, #ARGV, 7 do
  local shift, driver, subject, late = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local stop, remaining, metres = ARGV[i + 4], tonumber(ARGV[i + 5]), tonumber(ARGV[i + 6])
  -- version, lateness asked for, stop ('-' if none), least seconds and metres to it
  local before = words(redis.call('HGET', K.foreseen, shift))
  local same = before[1] == version
  local told = same and tonumber(before[2]) or 0
  local least = same and before[3] == stop and tonumber(before[4]) or remaining
  local nearest = same and before[3] == stop and tonumber(before[5] or metres) or metres
  if late >= told + late_after then
    local rev = emit('lateness.foreseen', cjson.encode({shift_id = shift, driver_id = driver, subject = subject, late_by = late}))
    trigger('lateness_foreseen', subject, rev, now)
    told, asked = late, asked + 1
  end
  if stop ~= '' and remaining >= least + detour_after and metres >= nearest + detour_after then
    local rev = emit('driver.detour', cjson.encode({shift_id = shift, driver_id = driver, stop_id = stop, remaining = remaining}))
    trigger('detour', driver, rev, now)
    least, nearest, asked = remaining, metres, asked + 1
  end
  if redis.call('HEXISTS', K.returned, shift) == 0 then
    local row = {version, told, stop == '' and '-' or stop, math.min(least, remaining), math.min(nearest, metres)}
    redis.call('HSET', K.foreseen, shift, table.concat(row, ' '))
  end
end
return asked
