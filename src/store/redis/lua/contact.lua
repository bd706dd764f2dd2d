-- Records a contact of a phone.
-- KEYS phone, ends, by, sources, salt; with a code: listing, entered
-- ARGV mac, prefix of phones, prefix of the phones of a source, contact, how long it is kept, how often an unchanged one
--      is written, hash of the source, new salt, life of a salt, limit, limit per source, phones of a code
-- Returns whether it is the first one, whether it is kept, and how many others gave way.
local mac, time = ARGV[1], now()
local pool = {ends = KEYS[2], by = KEYS[3], sources = KEYS[4], records = ARGV[2], of = ARGV[3]}
local known = redis.call('HGET', KEYS[1], 'contact')
local first = known and 0 or 1
local function write()
  redis.call('HSETNX', KEYS[1], 'first', time)
  redis.call('HSET', KEYS[1], 'contact', ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
if KEYS[6] and redis.call('EXISTS', KEYS[6]) == 1 and (redis.call('SISMEMBER', KEYS[7], mac) == 1
    or redis.call('SCARD', KEYS[7]) < tonumber(ARGV[12])) then
  write()
  redis.call('SADD', KEYS[7], mac)
  redis.call('PEXPIRE', KEYS[7], left(KEYS[6]))
  leave(pool, mac)
  return {first, 1, 0}
end
if known == ARGV[4] and redis.call('PTTL', KEYS[1]) > ARGV[5] - ARGV[6] then return {0, 1, 0} end
local refused = full(KEYS[5], ARGV[8], ARGV[9])
if refused then return refused.full and {first, 1 - first, 0} or refused end
local gone = 0
local source = known and redis.call('HGET', pool.by, mac)
if not known then
  source = source_of(KEYS[5], ARGV[7])
  gone = make_room(pool, source, time, tonumber(ARGV[10]), tonumber(ARGV[11]))
end
write()
-- A record of a phone that has entered a code has no source: it is no stranger's.
if source then hold(pool, mac, source, time + ARGV[5], time) end
return {first, 1, gone}
