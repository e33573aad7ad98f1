-- Publish a plan, or refuse it. The plan version is the only fence; for every route the plan touches, the frozen
-- stops it assumed must still cover all the driver has started, and every record it rests on must be as it was.
-- KEYS: all of keys.py.
-- ARGV: a JSON document:
--   version      the version to replace (compared)
--   revision     triggers up to this revision are answered
--   plan         the whole plan (text)              record    its version record (text)
--   keep         how many versions stay, a multiple of what is between two snapshots
--   snapshot     whether to keep the whole plan     role      'repair'|'improve'
--   began        when the work began (real s)       again     when the next repair or an improvement may begin (real s)
--   touched      [{shift, driver, departed, frozen: [stop], sequence: 'stop stop', gone: [stop]}]
--   over         shifts that left the plan        planned_on  the road state it was made on (text), '' for the same
--   improve      whether an improvement, or another one, should follow
--   records      {record id: revision}              unassigned {order id: text}
--   event        what is kept of it for good (text)
--   documents    {driver: route document (text)}    changes   {driver: text for the stream}
--   streams      {driver: {stream, channel}}         now, ack_after   when (real s), and how long its driver has to say so (s)
-- -> {'published'|'outdated'|'moved'|'changed', detail}
local c = cjson.decode(ARGV[1])
local version = tonumber(redis.call('GET', K.version) or '0')
if version ~= c.version then return {'outdated', tostring(version)} end
for record, rev in pairs(c.records) do
  if tonumber(redis.call('HGET', K.record_rev, record) or '0') ~= rev then return {'changed', record} end
end
for _, route in ipairs(c.touched) do
  if (redis.call('HEXISTS', K.departed, route.shift) == 1) ~= route.departed then return {'moved', route.shift} end
  if redis.call('HEXISTS', K.returned, route.shift) == 1 then return {'moved', route.shift} end
  local assumed = {}
  for _, stop in ipairs(route.frozen) do assumed[stop] = true end
  for _, stop in ipairs(words(redis.call('HGET', K.trail, route.shift))) do
    if not assumed[stop] then return {'moved', stop} end
  end
  for _, stop in ipairs(words(route.sequence)) do  -- what cannot wait may have been given back, and taken by somebody else
    local order = order_of(stop)
    local held = redis.call('HGET', K.held, order)
    local another = redis.call('SISMEMBER', K.unmatched, order) == 1 or (held and held ~= route.driver)
    if another and not trail_has(route.shift, stop) then return {'changed', order} end  -- what somebody does is a fact
  end
end
version = version + 1
redis.call('SET', K.version, version)
redis.call('SET', K.plan, c.plan)
redis.call('DEL', K.proposal)  -- it was made from the plan before
if c.planned_on ~= '' then redis.call('SET', K.planned_on, c.planned_on) end
redis.call('HSET', K.versions, version, c.record)
if c.snapshot == true then
  redis.call('HSET', K.snapshots, version, c.plan)
  for old = version - c.keep, math.max(1, version - c.keep - 2000), -1 do  -- the snapshot that later versions start from stays
    if redis.call('HDEL', K.versions, old) == 0 then break end
    redis.call('HDEL', K.commit_ms, old)
    if old < version - c.keep then redis.call('HDEL', K.snapshots, old) end
  end
end
for _, route in ipairs(c.touched) do
  for _, stop in ipairs(route.gone) do
    if redis.call('HGET', K.stop_shift, stop) == route.shift then redis.call('HDEL', K.stop_shift, stop) end
  end
end
for _, shift in ipairs(c.over) do
  for _, stop in ipairs(words(redis.call('HGET', K.sequences, shift))) do
    if redis.call('HGET', K.stop_shift, stop) == shift and not trail_has(shift, stop) then redis.call('HDEL', K.stop_shift, stop) end
  end
  redis.call('HDEL', K.sequences, shift)
end
for _, route in ipairs(c.touched) do
  redis.call('HSET', K.sequences, route.shift, route.sequence)
  for _, stop in ipairs(words(route.sequence)) do redis.call('HSET', K.stop_shift, stop, route.shift) end
  advance(route.shift)
end
redis.call('DEL', K.unassigned)
for order, text in pairs(c.unassigned) do
  local driver = redis.call('HGET', K.held, order)
  if driver and release(order, c.began) then  -- whoever took it cannot after all
    add_name(K.passed, order, driver)
  else
    redis.call('HSET', K.unassigned, order, text)
  end
end
for driver, text in pairs(c.documents) do
  redis.call('HSET', K.routes, driver, text)
  redis.call('HSET', K.route_versions, driver, version)
  if c.ack_after then redis.call('ZADD', K.timers, 'NX', c.now + c.ack_after, DEPOT .. ' unacknowledged ' .. driver) end
  local to = c.streams[driver]
  redis.call('XADD', to[1], 'MAXLEN', '=', 120, version .. '-0', 'route', text)
  redis.call('EXPIRE', to[1], 604800)  -- a week: who was away for longer gets the route as it is
  redis.call('PUBLISH', to[2], text)
end
redis.call('XADD', K.published, 'MAXLEN', '~', 2000, '*', 'depot', DEPOT, 'version', version, 'routes', cjson.encode(c.documents))
emit('plan.published', c.event)
redis.call('ZADD', K.moving, 'NX', c.began, DEPOT)  -- what is to be expected now is to be said
if c.role == 'repair' then repaired(c.revision, c.began, c.again, c.improve) else improved(c.revision, c.improve and c.now) end
return {'published', tostring(version)}
