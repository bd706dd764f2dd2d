-- Records or refreshes an unassigned device.
-- KEYS record, devices, ends, presence
-- ARGV device, number for a new record (0: expects an existing one), facts, how long it is kept
-- Returns 0 if it needs a number.
local time = now()
local ends = time + ARGV[4]
local id = redis.call('HGET', KEYS[1], 'id') or ARGV[2]
if id == '0' then return 0 end
redis.call('HSET', KEYS[1], 'id', id, 'facts', ARGV[3], 'seen', time)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[2], id, ARGV[1])
redis.call('ZADD', KEYS[3], ends, ARGV[1])
-- Ended records are invisible already; this keeps the indexes from growing.
for _, over in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', time, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], over)
  redis.call('ZREM', KEYS[3], over)
  redis.call('HDEL', KEYS[4], over)
end
for i = 2, 4 do keep_until(KEYS[i], ends, time) end
return 1
