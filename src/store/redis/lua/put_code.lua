-- KEYS code, counter  ARGV about, holder, kind, valid until, code, most
local record = redis.call('HMGET', KEYS[1], 'about', 'holder', 'by')
if record[1] then
  -- The same once more is a repetition after a time-out.
  if record[1] == ARGV[1] and record[2] == ARGV[2] and not record[3] then return 'kept' end
  return 'exists'
end
local time = now()
if redis.call('ZCOUNT', KEYS[2], '(' .. time, '+inf') >= tonumber(ARGV[6]) then return 'many' end
redis.call('HSET', KEYS[1], 'about', ARGV[1], 'holder', ARGV[2], 'kind', ARGV[3])
redis.call('PEXPIREAT', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', time)
keep_until(KEYS[2], tonumber(ARGV[4]), time)
return 'kept'
