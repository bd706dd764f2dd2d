-- Begins a roll-out.
-- KEYS rollout, rollouts
-- ARGV id, name, category, users, how long it is kept
-- Returns the time.
local time = now()
redis.call('HSET', KEYS[1], 'name', ARGV[2], 'category', ARGV[3], 'users', ARGV[4], 'created', time)
redis.call('PEXPIREAT', KEYS[1], time + ARGV[5])
redis.call('ZADD', KEYS[2], time + ARGV[5], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', time)
keep_until(KEYS[2], time + ARGV[5], time)
return time
