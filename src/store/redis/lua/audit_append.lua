-- Appends an entry to a list of the audit log.
-- KEYS list
-- ARGV mark and action, how long it is kept, limit
local time = now()
redis.call('ZADD', KEYS[1], 'NX', time, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time - ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
