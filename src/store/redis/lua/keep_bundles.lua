-- Replaces what is remembered of bundles if it is what was read.
-- KEYS bundles
-- ARGV revision that was read (0: none), new revision, new state
local there = redis.call('HMGET', KEYS[1], 'revision', 'state')
-- The same once more is a repetition after a time-out.
if (there[1] or '0') ~= ARGV[1] and there[2] ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'state', ARGV[3])
return 1
