-- Changes the settings of a domain.
-- KEYS domain
-- ARGV how many fields to set, field, value, …, then fields to delete
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
-- A full server refuses this command, before anything is changed.
redis.call('HINCRBY', KEYS[1], 'revision', 1)
local set = 2 * ARGV[1]
for i = 2, set, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = set + 2, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return 1
