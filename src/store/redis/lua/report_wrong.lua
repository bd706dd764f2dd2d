-- Adds wrong attempts of a node, and counts those of all nodes.
-- KEYS reports
-- ARGV id of the report, wrong attempts (0: only reads), for how long they count
-- Returns the wrong attempts that count.
local time = now()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time - ARGV[3])
if ARGV[2] ~= '0' then
  redis.call('ZADD', KEYS[1], time, ARGV[2] .. ' ' .. ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
local sum = 0
for _, report in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  sum = sum + tonumber(report:match('^%d+'))
end
return sum
