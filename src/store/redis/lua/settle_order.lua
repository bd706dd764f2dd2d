-- Records the result of an attempt at an order.
-- KEYS record, orders, failed
-- ARGV id, 'done', 'again' or 'never', state of the entry, why, how long until it is due again
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
  return 0
end
redis.call('HSET', KEYS[1], 'why', ARGV[4])
if ARGV[2] == 'again' then
  redis.call('HINCRBY', KEYS[1], 'attempts', 1)
  redis.call('ZADD', KEYS[2], 'XX', now() + ARGV[5], ARGV[1])
  return 1
end
redis.call('HSET', KEYS[1], 'entry', ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[1])
if ARGV[2] == 'never' then
  redis.call('ZADD', KEYS[3], now(), ARGV[1])
else
  redis.call('ZREM', KEYS[3], ARGV[1])
end
return 1
