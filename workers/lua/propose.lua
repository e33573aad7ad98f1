-- Put a plan before the depot's dispatcher, in place of one that waits already; what it answers is answered.
-- KEYS: all of keys.py.
-- ARGV: version it was made from, revision, 'repair'|'improve', when it began (real s), when the next repair or an improvement may
--       begin (real s), '1' to ask for an improvement, the proposal (JSON), event body.
-- -> 1, or 0 if another plan is in force by now
if (redis.call('GET', K.version) or '0') ~= ARGV[1] then return 0 end
redis.call('SET', K.proposal, ARGV[7])
emit('plan.proposed', ARGV[8])
if ARGV[3] == 'repair' then repaired(ARGV[2], ARGV[4], ARGV[5], ARGV[6] == '1') else improved(ARGV[2]) end
return 1
