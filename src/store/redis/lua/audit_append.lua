-- Appends an entry to a list of the audit log.
-- KEYS list
-- ARGV mark and action, how long it is kept, limit, and the time if the entry is in another list already
-- Returns the time of the entry.
local time = tonumber(ARGV[4]) or now()
redis.call('ZADD', KEYS[1], 'NX', time, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time - ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1])) or time
