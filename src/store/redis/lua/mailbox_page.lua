-- KEYS mailbox  ARGV first, last. What has expired is not counted any more.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now())
return redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2])
