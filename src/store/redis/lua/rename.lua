-- Names a device by hand.
-- KEYS device
-- ARGV name ('': removes it)
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if ARGV[1] == '' then redis.call('HDEL', KEYS[1], 'name') else redis.call('HSET', KEYS[1], 'name', ARGV[1]) end
redis.call('HDEL', KEYS[1], 'named_by')
return 1
