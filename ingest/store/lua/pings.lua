-- A batch of one driver's pings: deduplicated by number, kept in order of their own time. Where too many batches wait for the archiver
-- they move the driver all the same, but are not kept: history is shed before progress.
-- KEYS: all of keys.py, then the driver's ping numbers, then the driver's newest pings.
-- ARGV: driver, now (real s), deadline of the next ping (real s), how many batches may wait, then for each ping in order of their
--       times: seq, recorded at (depot s, with fractions), document.
-- -> {new, duplicates, late}
local driver, now, deadline, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local fresh, ahead, duplicates, late = {}, {}, 0, 0
local newest = tonumber(redis.call('HGET', K.ping_at, driver) or '-1')
local oldest = redis.call('ZRANGE', SEQS, 0, 0, 'WITHSCORES')
local full = redis.call('ZCARD', SEQS) >= 1000
for i = 5, #ARGV, 3 do
  local seq, at = ARGV[i], tonumber(ARGV[i + 1])
  local known = full and tonumber(seq) < tonumber(oldest[2])
  if known or redis.call('ZADD', SEQS, 'NX', seq, seq) == 0 then
    duplicates = duplicates + 1
  else
    fresh[#fresh + 1] = ARGV[i + 2]
    if at > newest then
      newest = at
      ahead[#ahead + 1] = i
    else
      late = late + 1
    end
  end
end
if #fresh == 0 then return {0, duplicates, 0} end
redis.call('ZREMRANGEBYRANK', SEQS, 0, -1001)
redis.call('EXPIRE', SEQS, 172800)

-- The newest pings, thinned so that those kept reach back beyond how long it takes to stand still.
local apart = cjson.decode(redis.call('GET', K.depot)).policy.still_after * 1.5 / RECENT_PINGS
local before = redis.call('LINDEX', RECENT, -2)
before = before and cjson.decode(before).at
local last = redis.call('LINDEX', RECENT, -1)
last = last and cjson.decode(last).at
local tail, kept = nil, {}
local function keep(at, document)
  if before and last - before < apart then
    if #kept > 0 then kept[#kept] = document else tail = document end
  else
    kept[#kept + 1] = document
    before = last
  end
  last = at
end

if redis.call('XLEN', K.pings) < most then
  redis.call('XADD', K.pings, '*', 'depot', DEPOT, 'driver', driver, 'pings', '[' .. table.concat(fresh, ',') .. ']')
else
  redis.call('HINCRBYFLOAT', K.metrics, 'pings_shed - count', #fresh)
end
if #ahead > 0 then
  local position = ARGV[ahead[#ahead] + 2]
  redis.call('HSET', K.positions, driver, position)
  redis.call('HSET', K.ping_at, driver, newest)
  for _, i in ipairs(ahead) do keep(tonumber(ARGV[i + 1]), ARGV[i + 2]) end
  if tail then redis.call('LSET', RECENT, -1, tail) end
  if #kept > 0 then redis.call('RPUSH', RECENT, unpack(kept, math.max(1, #kept - RECENT_PINGS + 1))) end
  redis.call('LTRIM', RECENT, -RECENT_PINGS, -1)
  redis.call('EXPIRE', RECENT, 172800)
end
hear(driver, deadline, now)
return {#fresh, duplicates, late}
