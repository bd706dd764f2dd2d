-- Ends a session of an account.
-- KEYS session, sessions of the account
-- ARGV hash, account
if redis.call('HGET', KEYS[1], 'account') ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])
