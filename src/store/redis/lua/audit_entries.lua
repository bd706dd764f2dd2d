-- Reads a page of the audit log, newest first.
-- KEYS list
-- ARGV time to continue from ('' from the newest), mark there, limit, how long entries are kept
-- Returns for each: mark and action, time.
local oldest = '(' .. string.format('%.0f', now() - ARGV[4])
if ARGV[1] == '' then
  return redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', oldest, 'WITHSCORES', 'LIMIT', 0, ARGV[3])
end
local same = redis.call('ZCOUNT', KEYS[1], ARGV[1], ARGV[1])
local all = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], oldest, 'WITHSCORES', 'LIMIT', 0, ARGV[3] + same)
local found = {}
for i = 1, #all, 2 do
  local earlier = tonumber(all[i + 1]) < tonumber(ARGV[1]) or all[i] < ARGV[2]
  if earlier and #found < 2 * ARGV[3] then
    found[#found + 1] = all[i]
    found[#found + 1] = all[i + 1]
  end
end
return found
