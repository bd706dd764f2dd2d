-- Moves the pending code of a device into the mailbox.
-- KEYS device, pending, code, mail, mailbox
-- ARGV device, name of the code
if redis.call('HGET', KEYS[1], 'pending') ~= ARGV[2] then return 0 end
local posted = post(KEYS[3], KEYS[4], KEYS[5], ARGV[2], ARGV[1])
redis.call('HDEL', KEYS[1], 'pending')
redis.call('ZREM', KEYS[2], ARGV[1])
return posted and 1 or 0
