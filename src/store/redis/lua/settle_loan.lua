-- A device has used a lent code at its site.
-- KEYS code, mail, mailbox
-- ARGV site, device, port ('': none), name of the code, how long a used code is kept
local record = redis.call('HMGET', KEYS[1], 'about', 'by', 'port', 'lent')
if not record[1] then return 0 end
if record[4] ~= ARGV[1] then
  -- The same values are a repetition after a time-out.
  return record[2] == ARGV[2] and (record[3] or '') == ARGV[3] and 1 or 0
end
redis.call('HSET', KEYS[1], 'by', ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'port', ARGV[3]) end
redis.call('HDEL', KEYS[1], 'lent')
redis.call('PEXPIRE', KEYS[1], ARGV[5])
post(KEYS[1], KEYS[2], KEYS[3], ARGV[4], ARGV[2])
return 1
