-- Keeps an offer.
-- KEYS offer, offers
-- ARGV device, from, how long it is kept
local time = now()
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], time + ARGV[3], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', time)
keep_until(KEYS[2], time + ARGV[3], time)
