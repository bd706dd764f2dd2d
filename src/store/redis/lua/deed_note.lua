-- KEYS deeds  ARGV mark and deed, how long it is kept, most
local time = now()
redis.call('ZADD', KEYS[1], 'NX', time, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time - ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
