-- Takes orders that are due.
-- KEYS orders
-- ARGV lease, limit
local time = now()
local due = redis.call('ZRANGE', KEYS[1], '-inf', time, 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do redis.call('ZADD', KEYS[1], time + ARGV[1], id) end
return due
