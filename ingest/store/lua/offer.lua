-- Offer orders that cannot wait to one driver each, as far as that still holds.
-- KEYS: all of keys.py. ARGV: JSON: [{order, revision (of the order's record), driver, shift, stop, expires_at (real s), wait (s until
--       there), emergency, view (what the driver's app is told)}].
-- -> how many were made
local offers = cjson.decode(ARGV[1])
local now = redis.call('TIME')[1]
local made = 0
for _, offer in ipairs(offers) do
  local order, driver = offer.order, offer.driver
  local other = redis.call('HGET', K.offered, driver)
  local free = redis.call('SISMEMBER', K.unmatched, order) == 1 and redis.call('HEXISTS', K.offers, order) == 0
    and redis.call('HGET', K.record_rev, order) == tostring(offer.revision) and redis.call('HEXISTS', K.breaks, driver) == 0
    and redis.call('HEXISTS', K.absent, driver) == 0 and redis.call('HEXISTS', K.returned, offer.shift) == 0
    and not has_name(K.declined, order, driver)
  if free and other and offer.emergency and not cjson.decode(redis.call('HGET', K.offers, other)).emergency then
    end_offer(other, 'withdrawn')
    seek(other, now)
    other = nil
  end
  if free and not other then
    local rev = emit('offer.made', cjson.encode({order_id = order, driver_id = driver}))
    offer.view.number = rev
    local document = {order_id = order, driver_id = driver, shift_id = offer.shift, stop_id = offer.stop, number = rev, wait = offer.wait,
                      emergency = offer.emergency, expires_at = offer.expires_at, state = 'open', view = offer.view}
    redis.call('HSET', K.offers, order, cjson.encode(document))
    redis.call('HSET', K.offered, driver, order)
    redis.call('ZADD', K.timers, offer.expires_at, DEPOT .. ' offer_expired ' .. order)
    tell(document)
    made = made + 1
  end
end
local waits = false
for _, order in ipairs(redis.call('SMEMBERS', K.unmatched)) do waits = waits or redis.call('HEXISTS', K.offers, order) == 0 end
if not waits then redis.call('ZREM', K.matchable, DEPOT) end
return made
