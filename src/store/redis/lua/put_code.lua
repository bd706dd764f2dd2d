-- Keeps a new code.
-- KEYS code, open, codes, issued
-- ARGV about, holder, kind, valid until, name of the code, limit, how long a used code is kept, how long a code is
--      listed, sealed code ('': the name is the code), limit of codes within a day (0: none), length of a day
local record = redis.call('HMGET', KEYS[1], 'about', 'holder', 'by')
if record[1] then
  -- The same values are a repetition after a time-out.
  if record[1] == ARGV[1] and record[2] == ARGV[2] and not record[3] then return 'kept' end
  return 'exists'
end
local time = now()
if redis.call('ZCOUNT', KEYS[2], '(' .. time, '+inf') >= tonumber(ARGV[6]) then return 'many' end
local issued = tonumber(redis.call('GET', KEYS[4]) or 0)
if ARGV[10] ~= '0' and issued >= tonumber(ARGV[10]) then return 'day' end
redis.call('HSET', KEYS[1], 'about', ARGV[1], 'holder', ARGV[2], 'kind', ARGV[3])
if ARGV[9] ~= '' then redis.call('HSET', KEYS[1], 'sealed', ARGV[9]) end
redis.call('PEXPIREAT', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5])
redis.call('ZADD', KEYS[3], time, ARGV[5])
-- Removes ended codes from both indexes. There are many only after a pause; then the next calls remove the rest.
local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', time, 'LIMIT', 0, 1000)
if #over > 0 then
  redis.call('ZREM', KEYS[2], unpack(over))
  redis.call('ZREM', KEYS[3], unpack(over))
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', time - ARGV[8])
if redis.call('INCR', KEYS[4]) == 1 then redis.call('PEXPIRE', KEYS[4], ARGV[11]) end
keep_until(KEYS[2], tonumber(ARGV[4]), time)
keep_until(KEYS[3], ARGV[4] + ARGV[7], time)
return 'kept'
