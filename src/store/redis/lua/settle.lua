-- Removes delivered notices from the mailbox.
-- KEYS mailbox, then for each: mail, lease
-- ARGV names of the codes
for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('ZREM', KEYS[1], unpack(ARGV))
