-- Removes the record of a device.
-- KEYS device, pending, devices, presence
-- ARGV device, the entry that the record must be of ('': any)
if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], 'entry') ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
return redis.call('DEL', KEYS[1])
