-- KEYS open
return redis.call('ZCOUNT', KEYS[1], '(' .. now(), '+inf')
