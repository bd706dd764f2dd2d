-- Begins a session in a browser.
-- KEYS session, sessions of the account
-- ARGV hash, about, account, idle, whole, limit, prefix of sessions
-- Returns the time.
local time = now()
redis.call('HSET', KEYS[1], 'about', ARGV[2], 'account', ARGV[3], 'began', time, 'seen', time)
redis.call('PEXPIRE', KEYS[1], math.min(ARGV[4], ARGV[5]))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', time)
redis.call('ZADD', KEYS[2], time + ARGV[5], ARGV[1])
keep_until(KEYS[2], time + ARGV[5], time)
local surplus = redis.call('ZCARD', KEYS[2]) - ARGV[6]
if surplus > 0 then
  for _, hash in ipairs(redis.call('ZRANGE', KEYS[2], 0, surplus - 1)) do
    redis.call('DEL', ARGV[7] .. hash)
    redis.call('ZREM', KEYS[2], hash)
  end
end
return time
