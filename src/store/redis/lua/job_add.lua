-- Keeps a job.
-- KEYS domain, jobs
-- ARGV number, job, category or ''
local domain = KEYS[1]
if redis.call('EXISTS', domain) == 0 or ARGV[3] ~= '' and not category(domain, ARGV[3]) then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HINCRBY', domain, 'revision', 1)
return 1
