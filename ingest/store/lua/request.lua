-- A person asks for a re-solve. KEYS: all of keys.py. ARGV: subject, now (real s). -> revision
local rev = emit('requested', cjson.encode({subject = ARGV[1]}))
trigger('requested', ARGV[1], rev, ARGV[2])
return rev
