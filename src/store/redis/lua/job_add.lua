-- Keeps a job, unless the domain has changed since its jobs were read.
-- KEYS domain, jobs
-- ARGV number, job, category or '', limit of jobs (0: none), revision at which the jobs were read or ''
-- Returns 1, 0 if there is no such domain or category, -1 if there are too many, -2 if the domain has changed.
local domain = KEYS[1]
if redis.call('EXISTS', domain) == 0 or ARGV[3] ~= '' and not category(domain, ARGV[3]) then return 0 end
-- The same number is a repetition after a time-out.
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 1 end
if ARGV[5] ~= '' and (redis.call('HGET', domain, 'revision') or '0') ~= ARGV[5] then return -2 end
if ARGV[4] ~= '0' and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then return -1 end
-- A full server refuses this command, before anything is changed.
redis.call('HINCRBY', domain, 'revision', 1)
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
