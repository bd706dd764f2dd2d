-- Takes a turn or prolongs it.
-- KEYS turn
-- ARGV node, ttl
local who = redis.call('GET', KEYS[1])
if who and who ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
