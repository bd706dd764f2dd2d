-- Seals the code of a phone request, and gives it its new name, the keyed hash.
-- KEYS record, code under the old name, under the new one, open, open codes of the person
-- ARGV about before, about after, code, name
-- Returns whether it was changed.
if redis.call('HGET', KEYS[1], 'about') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'about', ARGV[2])
for i = 4, 5 do swap(KEYS[i], ARGV[3], ARGV[4]) end
move(KEYS[2], KEYS[3])
return 1
