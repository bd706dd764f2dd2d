-- Counts the members that have not ended.
-- KEYS index by end
return redis.call('ZCOUNT', KEYS[1], '(' .. now(), '+inf')
