-- Gives members of an index their new names, the keyed hashes.
-- KEYS index
-- ARGV for each: code, name
-- Returns how many were changed.
local changed = 0
for i = 1, #ARGV, 2 do changed = changed + swap(KEYS[1], ARGV[i], ARGV[i + 1]) end
return changed
