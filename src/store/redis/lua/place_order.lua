-- Records the phone of a request, and places the entry order if there is none yet.
-- KEYS record, requests of the person, open, orders, rollout, request of the phone, open codes of the person
-- ARGV id, name of the code, phone, progress, state of the entry without an order, state while the order waits, progress of a
--      phone that is ready
-- Returns 'unknown', 'same', 'changed', or 'new' followed by the request that had the phone before.
local before = redis.call('HMGET', KEYS[1], 'entry', 'progress', 'phone')
if not before[1] then return 'unknown' end
local again = before[1] ~= ARGV[5]
-- A repeated notice may be older than the progress that is stored. Ready is the last progress.
local progress = (again and ARGV[4] ~= ARGV[7]) and before[2] or ARGV[4]
redis.call('HSET', KEYS[1], 'phone', ARGV[3], 'progress', progress)
if again then
  if before[2] == progress and before[3] == ARGV[3] then return 'same' end
  return 'changed'
end
local time = now()
redis.call('HSET', KEYS[1], 'entry', ARGV[6], 'made', time, 'attempts', 0)
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[4], time, ARGV[1])
redis.call('PERSIST', KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('ZREM', KEYS[7], ARGV[2])
if redis.call('EXISTS', KEYS[5]) == 1 then redis.call('HINCRBY', KEYS[5], 'registered', 1) end
local old = redis.call('GET', KEYS[6])
redis.call('SET', KEYS[6], ARGV[1])
return 'new' .. ((old and old ~= ARGV[1]) and old or '')
