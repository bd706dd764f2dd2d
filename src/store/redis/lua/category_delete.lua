-- Deletes a category, unless the domain has changed since its jobs were read.
-- KEYS domain
-- ARGV field, revision at which the jobs were read
local domain = KEYS[1]
if (redis.call('HGET', domain, 'revision') or '0') ~= ARGV[2] then return 0 end
-- A full server refuses this command, before anything is changed.
redis.call('HINCRBY', domain, 'revision', 1)
redis.call('HDEL', domain, ARGV[1])
return 1
