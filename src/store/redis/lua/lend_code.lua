-- Lends an open code to a site. `by` keeps every device out, also at nodes of a version that does not know of loans.
-- KEYS code, open:short, open:rollout, codes
-- ARGV site, name of the code, how long it is kept after its validity
local record = redis.call('HMGET', KEYS[1], 'about', 'by', 'lent')
if not record[1] then return 0 end
if record[2] then return record[3] == ARGV[1] and 1 or 0 end
local ends = now() + left(KEYS[1]) + ARGV[3]
redis.call('HSET', KEYS[1], 'by', 'site:' .. ARGV[1], 'lent', ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ends)
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
keep_until(KEYS[4], ends, now())
return 1
