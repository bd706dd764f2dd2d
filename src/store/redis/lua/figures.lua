-- Counts what a domain has.
-- KEYS devices, open short, open roll-out, mailbox
-- ARGV how long a notice is kept from the use of its code
-- Returns their lengths, and the age of the oldest notice.
local time = now()
local after = '(' .. time
local first = redis.call('ZRANGEBYSCORE', KEYS[4], after, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local age = first[2] and math.max(0, time + ARGV[1] - first[2]) or 0
return {
  redis.call('ZCARD', KEYS[1]),
  redis.call('ZCOUNT', KEYS[2], after, '+inf'),
  redis.call('ZCOUNT', KEYS[3], after, '+inf'),
  redis.call('ZCOUNT', KEYS[4], after, '+inf'),
  age,
}
