-- Records or refreshes an unassigned device.
-- KEYS record, devices, ends, presence, by, sources, salt
-- ARGV device, prefix of records, prefix of the records of a source, number for a new record (0: expects an existing
--      one), facts, how long it is kept, how often an unchanged one is written, hash of the source, new salt, life of a
--      salt, limit, limit per source
-- Returns -1 if it needs a number; else whether it is new, whether it is kept, and how many gave way.
local device, time = ARGV[1], now()
local known = redis.call('HMGET', KEYS[1], 'id', 'facts')
if known[1] and known[2] == ARGV[5] and redis.call('PTTL', KEYS[1]) > ARGV[6] - ARGV[7] then return {0, 1, 0} end
if not known[1] and ARGV[4] == '0' then return {-1, 0, 0} end
local pool = {ends = KEYS[3], by = KEYS[5], sources = KEYS[6], records = ARGV[2], of = ARGV[3]}
function pool.dropped(name)
  redis.call('ZREM', KEYS[2], name)
  redis.call('HDEL', KEYS[4], name)
end
local refused = full(KEYS[7], ARGV[9], ARGV[10])
if refused then return refused.full and (known[1] and {0, 1, 0} or {1, 0, 0}) or refused end
local gone = 0
local source = known[1] and redis.call('HGET', pool.by, device)
if not known[1] then
  source = source_of(KEYS[7], ARGV[8])
  gone = make_room(pool, source, time, tonumber(ARGV[11]), tonumber(ARGV[12]))
end
local id = known[1] or ARGV[4]
local ends = time + ARGV[6]
redis.call('HSET', KEYS[1], 'id', id, 'facts', ARGV[5], 'seen', time)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('ZADD', KEYS[2], id, device)
hold(pool, device, source, ends, time)
for _, key in ipairs({KEYS[2], KEYS[4]}) do keep_until(key, ends, time) end
return {known[1] and 0 or 1, 1, gone}
