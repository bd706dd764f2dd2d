-- Replaces an account that is still as it was read.
-- KEYS accounts
-- ARGV name, the row that was read, the new row
local row = redis.call('HGET', KEYS[1], ARGV[1])
-- The new row is a repetition after a time-out.
if row == ARGV[3] then return 1 end
if row ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
