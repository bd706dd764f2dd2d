-- KEYS pending  ARGV age, after how many, at most
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now() - ARGV[1], 'LIMIT', ARGV[2], ARGV[3])
