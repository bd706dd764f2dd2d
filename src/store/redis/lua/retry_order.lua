-- Makes a failed order due again.
-- KEYS record, orders, failed
-- ARGV id, state of the entry
if not redis.call('ZSCORE', KEYS[3], ARGV[1]) or redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local time = now()
redis.call('HSET', KEYS[1], 'entry', ARGV[2], 'made', time, 'attempts', 0, 'why', '')
redis.call('ZADD', KEYS[2], time, ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
