-- Gives what belongs to a code its new name, the keyed hash. May run again.
-- KEYS code, window, mail, lease under the old name; the same under the new one; open:short, open:rollout, codes,
--      mailbox
-- ARGV code, name, sealed code
-- Returns whether anything was changed.
local changed = 0
-- A full server refuses the first of these commands, before anything is changed.
for i = 1, 3, 2 do
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('HSET', KEYS[i], 'sealed', ARGV[3]) end
end
for i = 9, 12 do changed = swap(KEYS[i], ARGV[1], ARGV[2]) + changed end
for i = 1, 4 do changed = move(KEYS[i], KEYS[i + 4]) + changed end
return math.min(changed, 1)
