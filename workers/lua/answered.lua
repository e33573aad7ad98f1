-- A no-op: the plan in force already answers every trigger up to a revision, or cannot be improved upon.
-- KEYS: all of keys.py.
-- ARGV: version it was judged against, revision, 'repair'|'improve', when it began (real s), when the next repair or an improvement
--       may begin (real s), '1' to ask for an improvement.
-- -> 1, or 0 if the plan changed meanwhile
if (redis.call('GET', K.version) or '0') ~= ARGV[1] then return 0 end
local waits = ARGV[3] == 'repair' and redis.call('GET', K.proposal)
if waits then  -- what it would have answered needs no answer any more
  redis.call('DEL', K.proposal)
  emit('plan.discarded', cjson.encode({proposal_id = cjson.decode(waits).id}))
end
if ARGV[3] == 'repair' then repaired(ARGV[2], ARGV[4], ARGV[5], ARGV[6] == '1') else improved(ARGV[2]) end
return 1
