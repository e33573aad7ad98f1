-- Tell what has become of orders, if nobody else has told it: numbered for the depot's operators, and for each shipper.
-- KEYS: all of keys.py. ARGV: up to which event it was told before, and is now, [[shipper ('' for operators only), event]] and
--       {order: timeline} (JSON), now (real s). -> how many were told
if (redis.call('GET', K.fed) or '0-0') ~= ARGV[1] then return 0 end
redis.call('SET', K.fed, ARGV[2])
local told = cjson.decode(ARGV[3])
for _, row in ipairs(told) do
  local shipper, event = row[1], row[2]
  local number = redis.call('HINCRBY', K.feed_seq, '', 1)
  local own = shipper ~= '' and redis.call('HINCRBY', K.feed_seq, shipper, 1) or 0
  redis.call('XADD', K.feed, number .. '-0', 'shipper', shipper, 'own', own, 'at', ARGV[5], 'event', event)
end
for order, text in pairs(cjson.decode(ARGV[4])) do
  if redis.call('HEXISTS', K.orders, order) == 1 then redis.call('HSET', K.timelines, order, text) end
end
if #told > 0 and redis.call('HLEN', K.webhooks) > 0 then redis.call('ZADD', K.deliverable, 'LT', ARGV[5], DEPOT) end
return #told
