-- Ends a code at the directory.
-- KEYS listing, entered, open codes of the credential, open codes of all
-- ARGV credential, hash
if redis.call('HGET', KEYS[1], 'credential') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('ZREM', KEYS[4], ARGV[2])
return 1
