-- Adds rows to a roll-out. Existing rows stay; behind a gap nothing is added.
-- KEYS rollout, rows
-- ARGV number of the first row, then the rows
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local have = redis.call('LLEN', KEYS[2])
for i = 2, #ARGV do
  if ARGV[1] + i - 2 == have then have = redis.call('RPUSH', KEYS[2], ARGV[i]) end
end
redis.call('PEXPIRE', KEYS[2], left(KEYS[1]))
return 1
