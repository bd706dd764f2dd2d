-- Functions for all scripts; this file is put in front of each.

-- The time of the server, in milliseconds. It does not change within a script.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The TTL of a key as a value that can be set: Redis rounds down to 0, which it then refuses.
local function left(key)
  return math.max(1, redis.call('PTTL', key))
end

-- Keeps an index as long as its last member.
local function keep_until(key, ends, time)
  local rest = redis.call('PTTL', key)
  if rest < 0 or time + rest < ends then
    redis.call('PEXPIREAT', key, ends)
  end
end

-- Gives a member of an index another name. The new one is added first: without members the index and its end are lost.
local function swap(index, before, after)
  local score = redis.call('ZSCORE', index, before)
  if not score then return 0 end
  redis.call('ZADD', index, score, after)
  redis.call('ZREM', index, before)
  return 1
end

-- Gives a key another name, with its TTL. What is there under the new name already stays.
local function move(before, after)
  if redis.call('EXISTS', before) == 0 then return 0 end
  if redis.call('EXISTS', after) == 1 then return redis.call('DEL', before) end
  redis.call('RENAME', before, after)
  return 1
end

-- Puts the notice of a used code into the mailbox. It stays as long as the record of the code: 30 days from use.
local function post(code_key, mail_key, index, code, device)
  local record = redis.call('HMGET', code_key, 'about', 'holder', 'port', 'sealed')
  if not record[1] then return false end
  local rest = left(code_key)
  local time = now()
  redis.call('HSET', mail_key, 'about', record[1], 'device', device, 'holder', record[2] or '', 'port', record[3] or '')
  if record[4] then redis.call('HSET', mail_key, 'sealed', record[4]) end
  redis.call('PEXPIRE', mail_key, rest)
  redis.call('ZADD', index, time + rest, code)
  keep_until(index, time + rest, time)
  return true
end

-- Whether one more roll-out for so many users is too many: -1 too many roll-outs, -2 too many users of all of them.
local function over_rollouts(index, id, users, most, most_users, prefix)
  -- The same number is a repetition after a time-out.
  if redis.call('ZSCORE', index, id) then return nil end
  if most ~= '0' and redis.call('ZCARD', index) >= tonumber(most) then return -1 end
  if most_users == '0' then return nil end
  local all = tonumber(users)
  for _, other in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    all = all + tonumber(redis.call('HGET', prefix .. other, 'users') or 0)
  end
  return all > tonumber(most_users) and -2 or nil
end

-- The field of the category with this number, in the hash of its domain.
local function category(domain, id)
  local fields = redis.call('HGETALL', domain)
  for i = 1, #fields, 2 do
    if fields[i]:sub(1, 4) == 'cat:' and cjson.decode(fields[i + 1]).id == tonumber(id) then return fields[i] end
  end
end
