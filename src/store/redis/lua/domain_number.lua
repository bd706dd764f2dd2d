-- Gives a domain a new number. Always a new one: a caller of domain_forget sees by it that the domain exists again.
-- KEYS domains
-- ARGV name
local domains, name = KEYS[1], ARGV[1]
local last = redis.call('HGET', domains, '/last') or redis.call('HLEN', domains)
redis.call('HSET', domains, '/last', last + 1, name, last + 1)
return last + 1
