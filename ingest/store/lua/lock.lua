-- Lock or unlock a shift's route, if the shift is as it was read.
-- KEYS: all of keys.py. ARGV: id, document, expected record revision, '1' if it is locked now, event body, now (real s). -> 1, or 0
local id, document, expected, locked, body, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5], ARGV[6]
if (redis.call('HGET', K.record_rev, id) or '0') ~= expected then return 0 end
redis.call('HSET', K.shifts, id, document)
local rev = emit(locked and 'shift.locked' or 'shift.unlocked', body)
touch(id, rev)  -- a plan that is being made without knowing is refused
if not locked then trigger('shift_changed', id, rev, now) end
return 1
