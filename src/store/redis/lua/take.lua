-- KEYS mail, lease, …  ARGV node, lease, then of each entry holder and lessee as they were looked at
-- Takes the entries that are still as they were when the caller decided that it may have them.
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
