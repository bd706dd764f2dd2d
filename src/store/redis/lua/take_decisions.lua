-- Takes decisions of this second.
-- KEYS decisions taken
-- ARGV wanted, allowed per second
-- Returns how many were taken.
local taken = tonumber(redis.call('GET', KEYS[1]) or 0)
local got = math.max(0, math.min(tonumber(ARGV[1]), ARGV[2] - taken))
if got > 0 then
  redis.call('INCRBY', KEYS[1], got)
  if taken == 0 then redis.call('PEXPIRE', KEYS[1], 1000) end
end
return got
