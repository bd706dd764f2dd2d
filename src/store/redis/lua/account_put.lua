-- Keeps an account.
-- KEYS accounts
-- ARGV name, record, '1' to replace, limit, domain or '', limit of the domain (0: none)
-- Returns 0 kept, 1 exists, 2 too many, 3 too many of the domain.
local there = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
if there and ARGV[3] ~= '1' then return 1 end
if not there and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 2 end
if not there and ARGV[5] ~= '' and ARGV[6] ~= '0' then
  local have = 0
  for _, record in ipairs(redis.call('HVALS', KEYS[1])) do
    if cjson.decode(record).identity.domain == ARGV[5] then have = have + 1 end
  end
  if have >= tonumber(ARGV[6]) then return 3 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 0
