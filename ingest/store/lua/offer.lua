-- Offer orders that cannot wait to one driver each, as far as that still holds; and say when to look again.
-- KEYS: all of keys.py. ARGV: JSON: [{order, driver, shift, stop, ttl (real s), wait (s until there), emergency}], when to look again
--       at the earliest (real s), when this look began (real s).
-- -> how many were made
local offers, again, began = cjson.decode(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local made = 0
for _, offer in ipairs(offers) do
  local order, driver = offer.order, offer.driver
  local other = redis.call('HGET', K.offered, driver)
  local declined = ' ' .. (redis.call('HGET', K.declined, order) or '') .. ' '
  local free = redis.call('SISMEMBER', K.unmatched, order) == 1 and redis.call('HEXISTS', K.offers, order) == 0
    and redis.call('HEXISTS', K.absent, driver) == 0 and redis.call('HEXISTS', K.returned, offer.shift) == 0
    and not string.find(declined, ' ' .. driver .. ' ', 1, true)
  if free and other and offer.emergency and not cjson.decode(redis.call('HGET', K.offers, other)).emergency then
    end_offer(other, 'withdrawn')
    seek(other, now)
    other = nil
  end
  if free and not other then
    local rev = emit('offer.made', cjson.encode({order_id = order, driver_id = driver}))
    local document = {order_id = order, driver_id = driver, shift_id = offer.shift, stop_id = offer.stop, number = rev, wait = offer.wait,
                      emergency = offer.emergency, made_at = now, expires_at = now + offer.ttl, state = 'open'}
    redis.call('HSET', K.offers, order, cjson.encode(document))
    redis.call('HSET', K.offered, driver, order)
    redis.call('ZADD', K.timers, now + offer.ttl, DEPOT .. ' offer_expired ' .. order)
    tell(document)
    made = made + 1
  end
end
local waits = false
for _, order in ipairs(redis.call('SMEMBERS', K.unmatched)) do waits = waits or redis.call('HEXISTS', K.offers, order) == 0 end
local due = tonumber(redis.call('ZSCORE', K.matchable, DEPOT) or '0')
if not waits then
  redis.call('ZREM', K.matchable, DEPOT)
elseif due <= began then  -- else something has come meanwhile, and is due already
  redis.call('ZADD', K.matchable, again, DEPOT)
end
return made
