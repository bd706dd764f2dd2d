-- Records where members are online, each device once. The previous connection is kept too, so that a repetition
-- returns the same.
-- KEYS presence
-- ARGV for each: device, "<conn> <node>"
-- Returns for each the previous connection.
local devices = {}
for i = 1, #ARGV, 2 do devices[#devices + 1] = ARGV[i] end
local lines = redis.call('HMGET', KEYS[1], unpack(devices))
local answers, changes = {}, {}
for i, device in ipairs(devices) do
  local new, at, before = ARGV[2 * i], '', ''
  if lines[i] then
    at, before = lines[i]:match('^([^\n]*)\n?(.*)$')
  end
  if at == new then
    answers[i] = before
  else
    answers[i] = at
    changes[#changes + 1] = device
    changes[#changes + 1] = at == '' and new or new .. '\n' .. at
  end
end
if #changes > 0 then redis.call('HSET', KEYS[1], unpack(changes)) end
return answers
