-- Records where an unassigned device is online, and prolongs its record.
-- KEYS record, devices, ends, presence, by, sources
-- ARGV device, prefix of records, prefix of the records of a source, "<conn> <node>", how long it is kept
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local device, time = ARGV[1], now()
local ends = time + ARGV[5]
redis.call('HSET', KEYS[4], device, ARGV[4])
redis.call('HSET', KEYS[1], 'seen', time)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local pool = {ends = KEYS[3], by = KEYS[5], sources = KEYS[6], records = ARGV[2], of = ARGV[3]}
hold(pool, device, redis.call('HGET', pool.by, device), ends, time)
for _, key in ipairs({KEYS[2], KEYS[4]}) do keep_until(key, ends, time) end
return 1
