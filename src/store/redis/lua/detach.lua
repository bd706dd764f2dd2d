-- Removes members whose connection has ended, unless another connection has replaced it.
-- KEYS presence
-- ARGV for each: device, "<conn> <node>"
local devices, gone = {}, {}
for i = 1, #ARGV, 2 do devices[#devices + 1] = ARGV[i] end
local lines = redis.call('HMGET', KEYS[1], unpack(devices))
for i, device in ipairs(devices) do
  if lines[i] and lines[i]:match('^[^\n]*') == ARGV[2 * i] then gone[#gone + 1] = device end
end
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
