-- Creates a domain, or the missing fields of one. Existing fields stay.
-- KEYS domain
-- ARGV field, value, …
local made = 0
for i = 1, #ARGV, 2 do
  made = made + redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
end
if made > 0 then redis.call('HINCRBY', KEYS[1], 'revision', 1) end
