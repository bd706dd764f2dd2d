-- Replaces a value if it is what was read. It keeps its end.
-- KEYS key
-- ARGV kind, field, value that was read, new value. Kinds: string; hash: of a field; list: at an index; zset: a member
local kind, field = ARGV[1], ARGV[2]
if kind == 'string' then
  if redis.call('GET', KEYS[1]) ~= ARGV[3] then return 0 end
  redis.call('SET', KEYS[1], ARGV[4], 'KEEPTTL')
elseif kind == 'hash' then
  if redis.call('HGET', KEYS[1], field) ~= ARGV[3] then return 0 end
  redis.call('HSET', KEYS[1], field, ARGV[4])
elseif kind == 'list' then
  if redis.call('LINDEX', KEYS[1], field) ~= ARGV[3] then return 0 end
  redis.call('LSET', KEYS[1], field, ARGV[4])
else
  local score = redis.call('ZSCORE', KEYS[1], ARGV[3])
  if not score then return 0 end
  redis.call('ZREM', KEYS[1], ARGV[3])
  redis.call('ZADD', KEYS[1], score, ARGV[4])
end
return 1
