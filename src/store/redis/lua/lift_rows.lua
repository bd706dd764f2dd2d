-- Replaces rows of a roll-out whose codes are in clear, unless they have changed since.
-- KEYS rows
-- ARGV for each: number, row before, row after
-- Returns how many were changed.
local changed = 0
for i = 1, #ARGV, 3 do
  if redis.call('LINDEX', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('LSET', KEYS[1], ARGV[i], ARGV[i + 2])
    changed = changed + 1
  end
end
return changed
