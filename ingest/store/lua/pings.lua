-- A batch of one driver's pings: deduplicated by number, kept in order of their own time.
-- KEYS: all of keys.py, then the driver's ping numbers.
-- ARGV: driver, now (real s), deadline of the next ping (real s), then for each ping: seq, recorded at (depot s), document.
-- -> {new, duplicates, late}
local driver, now, deadline = ARGV[1], ARGV[2], ARGV[3]
local fresh, duplicates, late = {}, 0, 0
local newest = tonumber(redis.call('HGET', K.ping_at, driver) or '-1')
local oldest = redis.call('ZRANGE', SEQS, 0, 0, 'WITHSCORES')
local full = redis.call('ZCARD', SEQS) >= 1000
local position = nil
for i = 4, #ARGV, 3 do
  local seq, at = ARGV[i], tonumber(ARGV[i + 1])
  local known = full and tonumber(seq) < tonumber(oldest[2])
  if known or redis.call('ZADD', SEQS, 'NX', seq, seq) == 0 then
    duplicates = duplicates + 1
  else
    fresh[#fresh + 1] = ARGV[i + 2]
    if at > newest then
      newest, position = at, ARGV[i + 2]
    else
      late = late + 1
    end
  end
end
if #fresh == 0 then return {0, duplicates, 0} end
redis.call('ZREMRANGEBYRANK', SEQS, 0, -1001)
redis.call('EXPIRE', SEQS, 172800)
redis.call('XADD', K.pings, '*', 'depot', DEPOT, 'driver', driver, 'pings', '[' .. table.concat(fresh, ',') .. ']')
if position then
  redis.call('HSET', K.positions, driver, position)
  redis.call('HSET', K.ping_at, driver, newest)
end
hear(driver, deadline, now)
return {#fresh, duplicates, late}
