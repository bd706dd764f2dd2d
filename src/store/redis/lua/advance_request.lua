-- Changes the progress of a phone request, if it has not changed since.
-- KEYS record, open, open codes of the person
-- ARGV progress before, progress after, name of the code, how long it is kept if it has expired or was cancelled (otherwise '')
if redis.call('HGET', KEYS[1], 'progress') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'progress', ARGV[2])
if ARGV[4] ~= '' then
  redis.call('ZREM', KEYS[2], ARGV[3])
  redis.call('ZREM', KEYS[3], ARGV[3])
  if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
end
return 1
