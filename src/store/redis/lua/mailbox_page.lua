-- Reads a page of the mailbox. Expired entries are removed first.
-- KEYS mailbox
-- ARGV first, last
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now())
return redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2])
