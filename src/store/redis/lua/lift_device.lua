-- Seals the code of the last entry of a device, and gives it its new name, the keyed hash.
-- KEYS device
-- ARGV code, name, sealed code
-- Returns whether it was changed.
local record = redis.call('HMGET', KEYS[1], 'entry_code', 'pending')
if record[1] ~= ARGV[1] and record[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'sealed', ARGV[3])
if record[1] == ARGV[1] then redis.call('HSET', KEYS[1], 'entry_code', ARGV[2]) end
if record[2] == ARGV[1] then redis.call('HSET', KEYS[1], 'pending', ARGV[2]) end
return 1
