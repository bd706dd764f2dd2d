-- Makes a reservation permanent.
-- KEYS owner
-- ARGV domain
local owner = redis.call('GET', KEYS[1])
if owner == ARGV[1] then
  redis.call('PERSIST', KEYS[1])
  return 'ours'
end
return owner and 'theirs' or 'nobody'
