-- Begins a roll-out of the Users role.
-- KEYS rollout, rollouts
-- ARGV id, name, category, app, users, how long it is kept, limit of roll-outs, limit of their users (0: none),
--      prefix of roll-outs
-- Returns the time, or -1 or -2 if the first or the second limit is reached.
local time = now()
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', time)
local over = over_rollouts(KEYS[2], ARGV[1], ARGV[5], ARGV[7], ARGV[8], ARGV[9])
if over then return over end
redis.call('HSET', KEYS[1], 'name', ARGV[2], 'category', ARGV[3], 'app', ARGV[4], 'users', ARGV[5], 'begun', time)
redis.call('PEXPIREAT', KEYS[1], time + ARGV[6])
redis.call('ZADD', KEYS[2], time + ARGV[6], ARGV[1])
keep_until(KEYS[2], time + ARGV[6], time)
return time
