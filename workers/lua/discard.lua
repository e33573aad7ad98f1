-- Drop a proposal, if it is the one that waits.
-- KEYS: all of keys.py. ARGV: its id. -> 1 if it was
local known = redis.call('GET', K.proposal)
if not known or cjson.decode(known).id ~= ARGV[1] then return 0 end
redis.call('DEL', K.proposal)
emit('plan.discarded', cjson.encode({proposal_id = ARGV[1]}))
return 1
