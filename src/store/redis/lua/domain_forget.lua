-- Removes a deleted domain from the list, unless it has been created again since.
-- KEYS domains
-- ARGV name, its number when it was deleted
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
