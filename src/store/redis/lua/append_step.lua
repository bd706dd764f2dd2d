-- Appends a step, "<time> <event>", to timelines.
-- KEYS timelines
-- ARGV event, limit of steps, how long they are kept
local time = now()
for _, key in ipairs(KEYS) do
  local last = redis.call('LINDEX', key, -1)
  -- A repeated event must not displace earlier ones.
  if last and last:match('^%d+ (.*)$') == ARGV[1] then
    redis.call('LSET', key, -1, time .. ' ' .. ARGV[1])
  else
    redis.call('RPUSH', key, time .. ' ' .. ARGV[1])
    redis.call('LTRIM', key, -ARGV[2], -1)
  end
  redis.call('PEXPIRE', key, ARGV[3])
end
