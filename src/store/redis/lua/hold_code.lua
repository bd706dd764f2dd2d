-- Sets the node that waits for the notice of a code.
-- KEYS code, mail
-- ARGV node
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then redis.call('HSET', key, 'holder', ARGV[1]) end
end
