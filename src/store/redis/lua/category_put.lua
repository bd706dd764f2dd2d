-- Creates or changes a category.
-- KEYS domain
-- ARGV id, field, JSON, '1' to create it
local domain, id, field = KEYS[1], ARGV[1], ARGV[2]
if redis.call('EXISTS', domain) == 0 then return 'unknown' end
local old = category(domain, id)
if ARGV[4] ~= '1' and not old then return 'unknown' end
if field ~= old and redis.call('HEXISTS', domain, field) == 1 then return 'taken' end
if old and redis.call('HGET', domain, field) == ARGV[3] then return 'kept' end
redis.call('HSET', domain, field, ARGV[3])
if old and old ~= field then redis.call('HDEL', domain, old) end
redis.call('HINCRBY', domain, 'revision', 1)
return 'kept'
