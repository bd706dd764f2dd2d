-- Uses up a code for an analogue port and puts the notice into the mailbox.
-- KEYS device, code, window, open:short, open:rollout, mail, mailbox
-- ARGV device, port, name of the code, how long a used code is kept
local record = redis.call('HMGET', KEYS[2], 'about', 'by', 'port')
if not record[1] or redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if record[2] then
  -- The same values are a repetition after a time-out.
  if record[2] == ARGV[1] and record[3] == ARGV[2] then return redis.call('EXISTS', KEYS[3]) end
  return 0
end
local rest = left(KEYS[2])
redis.call('HSET', KEYS[1], 'port:' .. ARGV[2], record[1])
redis.call('SET', KEYS[3], ARGV[1], 'PX', rest)
redis.call('HSET', KEYS[2], 'by', ARGV[1], 'port', ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('ZREM', KEYS[4], ARGV[3])
redis.call('ZREM', KEYS[5], ARGV[3])
post(KEYS[2], KEYS[6], KEYS[7], ARGV[3], ARGV[1])
return 1
