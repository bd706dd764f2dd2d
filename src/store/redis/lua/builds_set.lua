-- Replaces the build list of a domain.
-- KEYS domain, builds
-- ARGV JSON
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SET', KEYS[2], ARGV[1])
return 1
