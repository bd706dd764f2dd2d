-- Lists the devices that are offered.
-- KEYS offers
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now(), '+inf')
