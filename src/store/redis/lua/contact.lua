-- Records a contact of a phone.
-- KEYS phone; with a code: listing, entered
-- ARGV contact, mac, how long it is kept
-- Returns 1 at the first contact.
local first = redis.call('HSETNX', KEYS[1], 'first', now())
redis.call('HSET', KEYS[1], 'contact', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if KEYS[2] and redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('SADD', KEYS[3], ARGV[2])
  redis.call('PEXPIRE', KEYS[3], left(KEYS[2]))
end
return first
