-- Sets fields of a hash if others have these values; an empty value stands for a field that is not there.
-- KEYS hash
-- ARGV number of expected fields, field and value of each, then field and value of each that is set
local expected = 2 * ARGV[1]
for i = 2, expected, 2 do
  if (redis.call('HGET', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then return 0 end
end
for i = expected + 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return 1
