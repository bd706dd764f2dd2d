-- Ends all sessions of an account.
-- KEYS sessions of the account
-- ARGV prefix of sessions
-- Returns how many there were.
local ended = 0
for _, hash in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  ended = ended + redis.call('DEL', ARGV[1] .. hash)
end
redis.call('DEL', KEYS[1])
return ended
