-- Undoes an entry whose device belongs to another domain; its code is open again.
-- KEYS device, pending, devices; with a code: code, window, open:short, open:rollout
-- ARGV device, entry, name of the code
local record = redis.call('HMGET', KEYS[1], 'entry', 'entry_code')
if record[1] ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
local code = ARGV[3]
if code ~= '' and record[2] == code and redis.call('HGET', KEYS[4], 'by') == ARGV[1] then
  local rest = redis.call('PTTL', KEYS[5])
  if rest > 0 then
    local time = now()
    local index = redis.call('HGET', KEYS[4], 'kind') == 'rollout' and KEYS[7] or KEYS[6]
    redis.call('HDEL', KEYS[4], 'by')
    redis.call('PEXPIRE', KEYS[4], rest)
    redis.call('DEL', KEYS[5])
    redis.call('ZADD', index, time + rest, code)
    keep_until(index, time + rest, time)
  else
    redis.call('DEL', KEYS[4])
  end
end
return 1
