-- Creates a domain.
-- KEYS domain
-- ARGV id, field, value, …
local there = redis.call('HGET', KEYS[1], 'id')
-- The same number is a repetition after a time-out.
if there then return there == ARGV[1] and 1 or 0 end
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'revision', 1, unpack(ARGV, 2))
return 1
