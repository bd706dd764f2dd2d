-- Lists devices whose notice has been pending for a time.
-- KEYS pending
-- ARGV age, offset, limit
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now() - ARGV[1], 'LIMIT', ARGV[2], ARGV[3])
