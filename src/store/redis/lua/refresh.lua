-- Replaces what a member reports about itself.
-- KEYS device
-- ARGV facts
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'facts', ARGV[1]) end
