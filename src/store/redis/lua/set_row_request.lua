-- Sets the request of a row of a roll-out, if it has not changed since.
-- KEYS rollout, rows
-- ARGV number, id of the request before ('': none), id of the new one
local text = redis.call('LINDEX', KEYS[2], ARGV[1])
if not text then return 0 end
local row = cjson.decode(text)
local before = row.request or ''
if before == ARGV[3] then return 1 end
if before ~= ARGV[2] then return 0 end
row.request = ARGV[3]
redis.call('LSET', KEYS[2], ARGV[1], cjson.encode(row))
if before == '' then redis.call('HINCRBY', KEYS[1], 'made', 1) end
return 1
