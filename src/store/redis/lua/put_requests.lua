-- Keeps new phone requests.
-- KEYS open, then for each: record, code, requests of the person, open codes of the person
-- ARGV progress, state of the entry, limit of open codes of a person ('': none), then for each: id, name of the
--      code, about, time, end of the validity, end of the record
-- Returns 'kept', or 'many' at the first request over the limit.
local time = now()
for i = 1, (#KEYS - 1) / 4 do
  local record, code, index, own = KEYS[4 * i - 2], KEYS[4 * i - 1], KEYS[4 * i], KEYS[4 * i + 1]
  local a = 6 * i - 3
  local valid, ends = tonumber(ARGV[a + 5]), tonumber(ARGV[a + 6])
  if redis.call('EXISTS', record) == 0 then
    redis.call('ZREMRANGEBYSCORE', own, '-inf', time)
    if ARGV[3] ~= '' and redis.call('ZCARD', own) >= tonumber(ARGV[3]) then return 'many' end
    redis.call('HSET', record, 'about', ARGV[a + 3], 'progress', ARGV[1], 'entry', ARGV[2])
    redis.call('PEXPIREAT', record, ends)
    redis.call('SET', code, ARGV[a + 1], 'PXAT', ends)
    -- The index of a person with a phone has no end.
    local stays = redis.call('PTTL', index) == -1
    redis.call('ZADD', index, ARGV[a + 4], ARGV[a + 1])
    if not stays then keep_until(index, ends, time) end
    redis.call('ZADD', KEYS[1], valid, ARGV[a + 2])
    keep_until(KEYS[1], ends, time)
    redis.call('ZADD', own, valid, ARGV[a + 2])
    keep_until(own, valid, time)
  end
end
return 'kept'
