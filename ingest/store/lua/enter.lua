-- Whose a key is, and whether it may call once more: a leaky bucket as a single moment (GCRA, ITU-T I.371), the one at which all
-- that has been used of the burst has come back.
-- KEYS: all principals, what the keys of such moments begin with (one for all secrets of a key), when keys were used last (to the minute). ARGV: the key's digest, then for each role: its name, calls per second (0: any), burst.
-- -> {} if nobody's; {principal}; or {principal, calls per second, calls left, seconds to wait (0: it may)}
local who = redis.call('HGET', KEYS[1], ARGV[1])
if not who then return {} end
local known = cjson.decode(who)
local role, mine = known.role, KEYS[2] .. known.id
local clock = redis.call('TIME')[1]
if clock - tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or '0') >= 60 then redis.pcall('HSET', KEYS[3], ARGV[1], clock) end
local rate, burst = 0, 0
for i = 2, #ARGV, 3 do
  if ARGV[i] == role then rate, burst = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]) end
end
if rate <= 0 then return {who} end
local time = redis.call('TIME')
local now, step = time[1] + time[2] / 1000000, 1 / rate
local after = math.max(tonumber(redis.call('GET', mine) or '0'), now) + step
local wait = after - now - burst * step
if wait > 0.000001 then return {who, tostring(rate), '0', tostring(wait)} end
-- A full store refuses this; who is known may read all the same, and is not counted.
redis.pcall('SET', mine, string.format('%.6f', after), 'PX', math.ceil((after - now) * 1000) + 1)
return {who, tostring(rate), tostring(math.floor(-wait / step + 0.000001)), '0'}
