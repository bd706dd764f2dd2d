-- Removes an unassigned device.
-- KEYS record, devices, ends, presence, by, sources
-- ARGV device, prefix of records, prefix of the records of a source
leave({ends = KEYS[3], by = KEYS[5], sources = KEYS[6], records = ARGV[2], of = ARGV[3]}, ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
return redis.call('DEL', KEYS[1])
