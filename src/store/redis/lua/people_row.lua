-- KEYS roll-out, rows  ARGV number, id of the request before ('' if there is none), id of the new one
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
