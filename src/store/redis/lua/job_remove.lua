-- Deletes a job.
-- KEYS domain, jobs
-- ARGV number
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return 0 end
-- A full server refuses this command, before anything is changed.
redis.call('HINCRBY', KEYS[1], 'revision', 1)
return redis.call('HDEL', KEYS[2], ARGV[1])
