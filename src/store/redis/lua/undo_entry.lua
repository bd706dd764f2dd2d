-- Takes an entry back whose device turned out to belong to another domain; the code is open again.
-- KEYS device, pending, code, window, open:short, open:rollout (the last four only with a code)
-- ARGV device, entry, code
local record = redis.call('HMGET', KEYS[1], 'entry', 'entry_code')
if record[1] ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
local code = ARGV[3]
if code ~= '' and record[2] == code and redis.call('HGET', KEYS[3], 'by') == ARGV[1] then
  local rest = redis.call('PTTL', KEYS[4])
  if rest > 0 then
    local time = now()
    local index = redis.call('HGET', KEYS[3], 'kind') == 'rollout' and KEYS[6] or KEYS[5]
    redis.call('HDEL', KEYS[3], 'by')
    redis.call('PEXPIRE', KEYS[3], rest)
    redis.call('DEL', KEYS[4])
    redis.call('ZADD', index, time + rest, code)
    keep_until(index, time + rest, time)
  else
    redis.call('DEL', KEYS[3])
  end
end
return 1
