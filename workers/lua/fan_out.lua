-- Note who is to get events of the feed, unless somebody else has.
-- KEYS: all of keys.py. ARGV: the number up to which that was done before, and is now; now (real s); {listener|number: delivery} (JSON)
-- -> how many deliveries there are to make
if tonumber(redis.call('GET', K.fanned) or '0') ~= tonumber(ARGV[1]) then return 0 end
redis.call('SET', K.fanned, ARGV[2])
local count = 0
for name, text in pairs(cjson.decode(ARGV[4])) do
  redis.call('HSET', K.deliveries, name, text)
  redis.call('ZADD', K.deliver_due, ARGV[3], name)
  count = count + 1
end
return count
