-- Records where an unassigned device is online, and prolongs its record.
-- KEYS record, devices, ends, presence
-- ARGV device, "<conn> <node>", how long it is kept
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local time = now()
local ends = time + ARGV[3]
redis.call('HSET', KEYS[4], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[1], 'seen', time)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[3], ends, ARGV[1])
for i = 2, 4 do keep_until(KEYS[i], ends, time) end
return 1
