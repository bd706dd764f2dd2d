-- Takes notices whose holder and lessee are still the same as when the caller decided that it may take them.
-- KEYS for each: mail, lease
-- ARGV node, lease, then for each: holder, lessee
-- Returns for each whether it was taken.
local taken = {}
for i = 1, #KEYS / 2 do
  local mail, lease = KEYS[2 * i - 1], KEYS[2 * i]
  local holder = redis.call('HMGET', mail, 'device', 'holder')
  local lessee = redis.call('GET', lease) or ''
  local same = holder[1] and (holder[2] or '') == ARGV[2 * i + 1]
  if same and (lessee == '' or lessee == ARGV[1] or lessee == ARGV[2 * i + 2]) then
    redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
    taken[i] = 1
  else
    taken[i] = 0
  end
end
return taken
