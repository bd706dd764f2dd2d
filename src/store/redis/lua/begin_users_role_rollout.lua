-- Begins a roll-out of the Users role.
-- KEYS rollout, rollouts
-- ARGV id, name, category, app, users, how long it is kept
-- Returns the time.
local time = now()
redis.call('HSET', KEYS[1], 'name', ARGV[2], 'category', ARGV[3], 'app', ARGV[4], 'users', ARGV[5], 'begun', time)
redis.call('PEXPIREAT', KEYS[1], time + ARGV[6])
redis.call('ZADD', KEYS[2], time + ARGV[6], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', time)
keep_until(KEYS[2], time + ARGV[6], time)
return time
