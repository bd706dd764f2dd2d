-- Creates or changes a category.
-- KEYS domain
-- ARGV id, field, JSON, '1' to create it, limit of categories (0: none)
local domain, id, field = KEYS[1], ARGV[1], ARGV[2]
if redis.call('EXISTS', domain) == 0 then return 'unknown' end
local old = category(domain, id)
if ARGV[4] ~= '1' and not old then return 'unknown' end
if field ~= old and redis.call('HEXISTS', domain, field) == 1 then return 'taken' end
if old and redis.call('HGET', domain, field) == ARGV[3] then return 'kept' end
if not old and ARGV[5] ~= '0' then
  local have = 0
  for _, name in ipairs(redis.call('HKEYS', domain)) do
    if name:sub(1, 4) == 'cat:' then have = have + 1 end
  end
  if have >= tonumber(ARGV[5]) then return 'many' end
end
redis.call('HSET', domain, field, ARGV[3])
if old and old ~= field then redis.call('HDEL', domain, old) end
redis.call('HINCRBY', domain, 'revision', 1)
return 'kept'
