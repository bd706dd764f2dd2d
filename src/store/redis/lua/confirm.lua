-- KEYS device  ARGV sealed password that was answered with. Deleting a field works on a full server too.
if redis.call('HGET', KEYS[1], 'password') == ARGV[1] then redis.call('HDEL', KEYS[1], 'tentative') end
