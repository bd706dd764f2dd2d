-- KEYS domains  ARGV name. Always a new number: whoever is about to forget a deleted domain of this name sees that it is back.
local domains, name = KEYS[1], ARGV[1]
local last = redis.call('HGET', domains, '/last') or redis.call('HLEN', domains)
redis.call('HSET', domains, '/last', last + 1, name, last + 1)
return last + 1
