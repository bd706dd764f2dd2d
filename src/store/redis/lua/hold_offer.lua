-- Counts a device as offered by a domain.
-- KEYS offered
-- ARGV device and receiver, limit (0: none), how long it is kept
-- Returns 0 if there are too many.
local time = now()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time)
if ARGV[2] ~= '0' and not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], time + ARGV[3], ARGV[1])
keep_until(KEYS[1], time + ARGV[3], time)
return 1
