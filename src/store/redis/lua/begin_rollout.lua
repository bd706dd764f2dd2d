-- Begins a roll-out.
-- KEYS rollout, rollouts
-- ARGV id, name, category, users, how long it is kept, limit of roll-outs, limit of their users (0: none),
--      prefix of roll-outs
-- Returns the time, or -1 or -2 if the first or the second limit is reached.
local time = now()
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', time)
local over = over_rollouts(KEYS[2], ARGV[1], ARGV[4], ARGV[6], ARGV[7], ARGV[8])
if over then return over end
redis.call('HSET', KEYS[1], 'name', ARGV[2], 'category', ARGV[3], 'users', ARGV[4], 'created', time)
redis.call('PEXPIREAT', KEYS[1], time + ARGV[5])
redis.call('ZADD', KEYS[2], time + ARGV[5], ARGV[1])
keep_until(KEYS[2], time + ARGV[5], time)
return time
