-- Gives timelines of codes their new names, the keyed hashes. A node that was late may have begun the old one anew:
-- then the steps of both are put in order.
-- KEYS for each: timeline under the old name, under the new one
-- Returns how many were changed.
local changed = 0
for i = 1, #KEYS, 2 do
  local old, new = KEYS[i], KEYS[i + 1]
  if redis.call('EXISTS', old) == 1 and redis.call('EXISTS', new) == 1 then
    local steps = redis.call('LRANGE', new, 0, -1)
    for _, step in ipairs(redis.call('LRANGE', old, 0, -1)) do
      local at, place = tonumber(step:match('^%d+')), #steps
      while place > 0 and tonumber(steps[place]:match('^%d+')) > at do place = place - 1 end
      table.insert(steps, place + 1, step)
    end
    redis.call('RPUSH', new, unpack(steps))
    redis.call('LTRIM', new, -#steps, -1)
    redis.call('DEL', old)
    changed = changed + 1
  else
    changed = changed + move(old, new)
  end
end
return changed
