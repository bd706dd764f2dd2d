-- Changes the owner of a device from one domain to another.
-- KEYS owner
-- ARGV from, to
local owner = redis.call('GET', KEYS[1])
if owner == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
return (owner == ARGV[1] or owner == ARGV[2]) and 1 or 0
