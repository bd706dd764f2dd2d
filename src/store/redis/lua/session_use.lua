-- Reads a session, and prolongs it.
-- KEYS session
-- ARGV hash, idle (0: only read), how often a use is recorded, prefix of the sessions of accounts
-- Returns about, began, seen, ends.
local found = redis.call('HMGET', KEYS[1], 'about', 'account', 'began', 'seen')
if not found[1] then return nil end
local time = now()
local ends = tonumber(redis.call('ZSCORE', ARGV[4] .. found[2], ARGV[1]) or 0)
if ends <= time then return nil end
local live = math.min(tonumber(ARGV[2]), ends - time)
if live > 0 and redis.call('PTTL', KEYS[1]) < live - tonumber(ARGV[3]) then
  -- On a full server the use is not recorded, and the session stays valid.
  if type(redis.pcall('HSET', KEYS[1], 'seen', time)) == 'number' then
    redis.call('PEXPIRE', KEYS[1], live)
    found[4] = time
  end
end
return { found[1], tostring(found[3]), tostring(found[4]), string.format('%.0f', ends) }
