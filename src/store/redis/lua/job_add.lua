-- Keeps a job.
-- KEYS domain, jobs
-- ARGV number, job, category or '', limit of jobs (0: none)
-- Returns 1, 0 if there is no such domain or category, -1 if there are too many.
local domain = KEYS[1]
if redis.call('EXISTS', domain) == 0 or ARGV[3] ~= '' and not category(domain, ARGV[3]) then return 0 end
-- The same number is a repetition after a time-out.
if ARGV[4] ~= '0' and redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then
  return -1
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HINCRBY', domain, 'revision', 1)
return 1
