-- Enters a device into a domain.
-- KEYS device, pending, devices; with a code: code, window, open:short, open:rollout;
--      at the end, if another notice is still pending: its code, its mail, mailbox
-- ARGV device, id, category, way, password, admin, facts, entry, name of the code, name of the code of the other
--      pending notice, how long a used code is kept, limit of devices (0: none), name that goes with the code, time
--      of the entry ('': now)
-- Returns outcome, id, time of entry, name, path of the App IP, work.
local device, code, owed = ARGV[1], ARGV[9], ARGV[10]
local old = redis.call('HMGET', KEYS[1], 'id', 'tentative', 'entry_code', 'pending', 'name', 'work', 'named_by',
  'app_ip')

local by, sealed
if code ~= '' then
  local record = redis.call('HMGET', KEYS[4], 'about', 'by', 'port', 'sealed')
  by, sealed = record[2], record[4]
  local again = by == device and not record[3] and old[2] and old[3] == code and redis.call('EXISTS', KEYS[5]) == 1
  if not record[1] or (by and not again) then return {'closed', 0, 0, '', '', ''} end
end
-- Another notice is pending than the caller knew of: it has to repeat the call with the keys of that one.
local pending = old[4] or ''
if pending ~= code and pending ~= owed then return {'stale', 0, 0, '', '', ''} end

if not old[1] and ARGV[12] ~= '0' and redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[12]) then
  return {'many', 0, 0, '', '', ''}
end

local time = ARGV[14] == '' and now() or tonumber(ARGV[14])
if pending ~= '' and pending ~= code then
  post(KEYS[#KEYS - 2], KEYS[#KEYS - 1], KEYS[#KEYS], pending, device)
end
local id = old[1] or ARGV[2]
-- A full server refuses this command, or the one in `post`, before anything is changed. It accepts the later ones of
-- the same script.
redis.call('HSET', KEYS[1], 'id', id, 'category', ARGV[3], 'way', ARGV[4], 'password', ARGV[5], 'facts', ARGV[7],
  'entered', time, 'entry', ARGV[8], 'tentative', '1')
redis.call('ZADD', KEYS[3], id, device)
local name = old[5] or ''
if ARGV[13] ~= '' and (name == '' or old[7] == 'code') then
  name = ARGV[13]
  redis.call('HSET', KEYS[1], 'name', name, 'named_by', 'code')
end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'admin', ARGV[6]) else redis.call('HDEL', KEYS[1], 'admin') end
if code == '' then
  redis.call('HDEL', KEYS[1], 'entry_code', 'pending', 'sealed')
  redis.call('ZREM', KEYS[2], device)
else
  redis.call('HSET', KEYS[1], 'entry_code', code, 'pending', code)
  if sealed then redis.call('HSET', KEYS[1], 'sealed', sealed) else redis.call('HDEL', KEYS[1], 'sealed') end
  redis.call('ZADD', KEYS[2], time, device)
  if not by then
    redis.call('SET', KEYS[5], device, 'PX', left(KEYS[4]))
    redis.call('HSET', KEYS[4], 'by', device)
    redis.call('ZREM', KEYS[6], code)
    redis.call('ZREM', KEYS[7], code)
  end
  redis.call('PEXPIRE', KEYS[4], ARGV[11])
end
return {'in', tonumber(id), time, name, old[8] or '', old[6] or ''}
