-- Keeps a code at the directory.
-- KEYS listing, spent, open codes of the credential, open codes of all
-- ARGV url, credential, ttl, hash, limit, how long a code is spent
local time = now()
local record = redis.call('HMGET', KEYS[1], 'url', 'ends')
-- The same sealed text once more is a repetition after a time-out: no two sealings are alike.
if record[1] == ARGV[1] then return {'until', tonumber(record[2])} end
if record[1] or redis.call('EXISTS', KEYS[2]) == 1 then return {'taken', 0} end
if redis.call('ZCOUNT', KEYS[3], '(' .. time, '+inf') >= tonumber(ARGV[5]) then return {'many', 0} end
local ends = math.floor((time + ARGV[3]) / 1000) * 1000
redis.call('HSET', KEYS[1], 'url', ARGV[1], 'credential', ARGV[2], 'ends', ends)
redis.call('PEXPIREAT', KEYS[1], ends)
redis.call('SET', KEYS[2], 1, 'PXAT', ends + ARGV[6])
for i = 3, 4 do
  redis.call('ZADD', KEYS[i], ends, ARGV[4])
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', time)
  keep_until(KEYS[i], ends, time)
end
return {'until', ends}
