-- What is to be expected of shifts, under one plan. Asks for a re-solve where more is too late than when it last asked, where a driver
-- has gone away from the next stop, or stands still on the way there; tells of arrivals that have moved.
-- KEYS: all of keys.py. ARGV: now (real s), now (depot s), the plan's version, policy (late_after, detour_after, eta_step: depot s),
--       horizons (minutes, ascending), and for each shift: shift, driver, subject (what is latest, '' if nothing), late (by how much
--       more than planned), stop (being driven to, '' if none), remaining and metres to it (both must have grown for a detour: roads
--       get slower by themselves), still (since when it stands still, or null), etas ({stop, P50, P80} each); all JSON but the
--       first three.
-- -> how often it asked
local now, at, version = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local policy, horizons, shifts = cjson.decode(ARGV[4]), cjson.decode(ARGV[5]), cjson.decode(ARGV[6])
if (redis.call('GET', K.version) or '0') ~= version then return 0 end
if redis.call('GET', K.etas_of) ~= version then
  redis.call('DEL', K.etas)
  redis.call('SET', K.etas_of, version)
end

-- The first time that so many minutes are left by itself, an arrival is remembered, to be held against what comes.
local function remember(stop, p50, p80)
  local horizon
  for _, minutes in ipairs(horizons) do
    if p50 - at <= minutes * 60 then
      horizon = minutes
      break
    end
  end
  if not horizon then return end
  local known = redis.call('HGET', K.forecasts, stop)
  local list = words(known)
  if list[#list - 2] and tonumber(list[#list - 2]) <= horizon then return end
  local told = horizon .. ' ' .. p50 .. ' ' .. p80
  redis.call('HSET', K.forecasts, stop, known and known .. ' ' .. told or told)
end

local function expect(stop, p50, p80)
  if TERMINAL[state_of(stop)] or state_of(stop) == 'arrived' then return end
  redis.call('HSET', K.etas, stop, p50 .. ' ' .. p80)
  remember(stop, p50, p80)
  local told = tonumber(redis.call('HGET', K.eta_told, stop))
  if not is_reload(stop) and (not told or math.abs(p50 - told) >= policy.eta_step) then
    redis.call('HSET', K.eta_told, stop, p50)
    emit('eta.changed', cjson.encode({stop_id = stop, order_id = order_of(stop), p50 = p50, p80 = p80, was = told}))
  end
end

local asked = 0
for _, shift in ipairs(shifts) do
  local id, driver, late, stop = shift.shift, shift.driver, shift.late, shift.stop
  -- version, lateness asked for, stop ('-' if none), least seconds and metres to it, since when it has stood still
  local before = words(redis.call('HGET', K.foreseen, id))
  local same = before[1] == version
  local told = same and tonumber(before[2]) or 0
  local least = same and before[3] == stop and tonumber(before[4]) or shift.remaining
  local nearest = same and before[3] == stop and tonumber(before[5] or shift.metres) or shift.metres
  local still = before[6] or '-'
  for _, eta in ipairs(shift.etas) do expect(eta[1], eta[2], eta[3]) end
  if late >= told + policy.late_after then
    local rev = emit('lateness.foreseen', cjson.encode({shift_id = id, driver_id = driver, subject = shift.subject, late_by = late}))
    trigger('lateness_foreseen', shift.subject, rev, now)
    told, asked = late, asked + 1
  end
  if stop ~= '' and shift.remaining >= least + policy.detour_after and shift.metres >= nearest + policy.detour_after then
    local rev = emit('driver.detour', cjson.encode({shift_id = id, driver_id = driver, stop_id = stop, remaining = shift.remaining}))
    trigger('detour', driver, rev, now)
    least, nearest, asked = shift.remaining, shift.metres, asked + 1
  end
  if type(shift.still) ~= 'number' then
    still = '-'
  elseif still == '-' then
    local rev = emit('driver.still', cjson.encode({shift_id = id, driver_id = driver, since = shift.still}))
    trigger('standing_still', driver, rev, now)
    still, asked = shift.still, asked + 1
  end
  if shift.begun and redis.call('HEXISTS', K.returned, id) == 0 then
    local row = {version, told, stop == '' and '-' or stop, math.min(least, shift.remaining), math.min(nearest, shift.metres), still}
    redis.call('HSET', K.foreseen, id, table.concat(row, ' '))
  end
end
return asked
