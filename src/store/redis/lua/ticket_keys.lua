-- Reads the keys of TLS session tickets, and keeps a new one if it is due.
-- KEYS keys
-- ARGV sealed key, age at which a new one is due, how long each is kept
-- Returns for each key, newest first: sealed key, age.
local time = now()
local newest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if not newest[2] or time - newest[2] >= tonumber(ARGV[2]) then
  redis.call('ZADD', KEYS[1], time, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time - ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '(' .. time - ARGV[3], 'WITHSCORES')
for i = 2, #found, 2 do
  found[i] = math.max(0, time - found[i])
end
return found
