-- Deletes a domain that has no devices, and the records of its open codes, so that no device can enter it any more.
-- They have the hash tag of the domain.
-- KEYS domain, devices, jobs, builds, open:short, open:rollout
-- ARGV prefix of the keys of code records
if redis.call('EXISTS', KEYS[1]) == 0 then return 'unknown' end
if redis.call('ZCARD', KEYS[2]) > 0 then return 'used' end
for i = 5, 6 do
  for _, code in ipairs(redis.call('ZRANGE', KEYS[i], 0, -1)) do redis.call('DEL', ARGV[1] .. code) end
end
redis.call('DEL', unpack(KEYS))
return 'gone'
