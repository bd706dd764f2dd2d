-- Ends an open code. Only deletes, so it also works on a full server.
-- KEYS code, open:short, open:rollout, codes
-- ARGV name of the code
local record = redis.call('HMGET', KEYS[1], 'about', 'by')
if not record[1] or record[2] then return 0 end
redis.call('DEL', KEYS[1])
for i = 2, 4 do redis.call('ZREM', KEYS[i], ARGV[1]) end
return 1
