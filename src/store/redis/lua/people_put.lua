-- KEYS open, then record, code and index of the user, of each  ARGV progress, entry, then id, code, about, asked, end of the
-- validity and end, of each
local time = now()
for i = 1, (#KEYS - 1) / 3 do
  local record, code, index = KEYS[3 * i - 1], KEYS[3 * i], KEYS[3 * i + 1]
  local a = 6 * i - 4
  local ends = tonumber(ARGV[a + 6])
  if redis.call('EXISTS', record) == 0 then
    redis.call('HSET', record, 'about', ARGV[a + 3], 'progress', ARGV[1], 'entry', ARGV[2])
    redis.call('PEXPIREAT', record, ends)
    redis.call('SET', code, ARGV[a + 1], 'PXAT', ends)
    -- That of a user with a phone stays for good.
    local stays = redis.call('PTTL', index) == -1
    redis.call('ZADD', index, ARGV[a + 4], ARGV[a + 1])
    if not stays then keep_until(index, ends, time) end
    redis.call('ZADD', KEYS[1], ARGV[a + 5], ARGV[a + 2])
    keep_until(KEYS[1], ends, time)
  end
end
