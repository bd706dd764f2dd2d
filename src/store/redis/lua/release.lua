-- Gives taken notices back. Only deletes, so it also works on a full server.
-- KEYS for each: mail, lease
-- ARGV node
for i = 1, #KEYS, 2 do
  local lessee = redis.call('GET', KEYS[i + 1])
  if not lessee or lessee == ARGV[1] then
    redis.call('DEL', KEYS[i + 1])
    if redis.call('HGET', KEYS[i], 'holder') == ARGV[1] then redis.call('HDEL', KEYS[i], 'holder') end
  end
end
