-- Lists the sessions of an account.
-- KEYS sessions of the account
-- ARGV prefix of sessions
-- Returns for each: hash, about, began, seen, ends.
local found = {}
local all = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now(), '+inf', 'WITHSCORES')
for i = 1, #all, 2 do
  local one = redis.call('HMGET', ARGV[1] .. all[i], 'about', 'began', 'seen')
  if one[1] then found[#found + 1] = { all[i], one[1], one[2], one[3], all[i + 1] } end
end
return found
