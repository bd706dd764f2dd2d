-- KEYS presence  ARGV device, "<conn> <node>". The one before is kept too, so that a repetition gives the same answer.
local at, before = '', ''
local line = redis.call('HGET', KEYS[1], ARGV[1])
if line then
  at, before = line:match('^([^\n]*)\n?(.*)$')
end
if at == ARGV[2] then return before end
redis.call('HSET', KEYS[1], ARGV[1], at == '' and ARGV[2] or ARGV[2] .. '\n' .. at)
return at
