-- Confirms a tentative password. Deleting a field also works on a full server.
-- KEYS device
-- ARGV sealed password of the answer
if redis.call('HGET', KEYS[1], 'password') == ARGV[1] then redis.call('HDEL', KEYS[1], 'tentative') end
