-- KEYS presence  ARGV device, "<conn> <node>"
local line = redis.call('HGET', KEYS[1], ARGV[1])
if line and line:match('^[^\n]*') == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
