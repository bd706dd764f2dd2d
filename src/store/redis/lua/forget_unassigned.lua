-- Removes an unassigned device.
-- KEYS record, devices, ends, presence
-- ARGV device
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
return redis.call('DEL', KEYS[1])
