-- KEYS domain, devices, jobs, builds, open:short, open:rollout  ARGV in front of the code in the key of its record
-- Of the open codes goes with the domain what would let a device into it. Their records are of the same tag.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'unknown' end
if redis.call('ZCARD', KEYS[2]) > 0 then return 'used' end
for i = 5, 6 do
  for _, code in ipairs(redis.call('ZRANGE', KEYS[i], 0, -1)) do redis.call('DEL', ARGV[1] .. code) end
end
redis.call('DEL', unpack(KEYS))
return 'gone'
