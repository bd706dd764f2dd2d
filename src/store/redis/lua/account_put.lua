-- Keeps an account.
-- KEYS accounts
-- ARGV name, record, '1' to replace, limit
-- Returns 0 kept, 1 exists, 2 too many.
local there = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
if there and ARGV[3] ~= '1' then return 1 end
if not there and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 2 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 0
