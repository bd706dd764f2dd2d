-- Keeps the work of a device, if it has not entered anew since.
-- KEYS device
-- ARGV time of the entry that the work belongs to, work
if redis.call('HGET', KEYS[1], 'entered') == ARGV[1] then redis.call('HSET', KEYS[1], 'work', ARGV[2]) end
