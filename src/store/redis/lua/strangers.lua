-- Functions for scripts about records of strangers; put behind common.lua in front of them.
--
-- A pool has the keys `ends` (record by end), `by` (record to source) and `sources` (source by number of records), the
-- prefixes `of` (records of a source by end) and `records`, and `dropped`, called for each record that goes.

-- Makes the salt if there is none. A full server refuses that before anything has changed: then `full` of the result is
-- set, because a record that is only a convenience need not fail. Another refusal is returned as it is.
local function full(salt, fresh, life)
  local made = redis.pcall('SET', salt, fresh, 'PX', life, 'NX')
  if type(made) ~= 'table' or not made.err then return nil end
  return made.err:sub(1, 3) == 'OOM' and {full = true} or made
end

-- The source as it is known while there is this salt.
local function source_of(salt, hash)
  return redis.sha1hex(redis.call('GET', salt) .. hash):sub(1, 12)
end

-- Takes a record out of the pool; it is not removed.
local function leave(pool, name)
  redis.call('ZREM', pool.ends, name)
  local source = redis.call('HGET', pool.by, name)
  if not source then return end
  redis.call('HDEL', pool.by, name)
  redis.call('ZREM', pool.of .. source, name)
  if tonumber(redis.call('ZINCRBY', pool.sources, -1, source)) <= 0 then redis.call('ZREM', pool.sources, source) end
end

local function drop(pool, name)
  leave(pool, name)
  redis.call('DEL', pool.records .. name)
  if pool.dropped then pool.dropped(name) end
end

-- Puts a record into the pool, or prolongs it there.
local function hold(pool, name, source, ends, time)
  redis.call('ZADD', pool.ends, ends, name)
  keep_until(pool.ends, ends, time)
  if not source then return end
  local of = pool.of .. source
  redis.call('HSET', pool.by, name, source)
  if redis.call('ZADD', of, ends, name) == 1 then redis.call('ZINCRBY', pool.sources, 1, source) end
  for _, key in ipairs({of, pool.by, pool.sources}) do keep_until(key, ends, time) end
end

-- Makes room for one more record of this source, and returns how many records gave way. Those that have ended do not
-- count.
local function make_room(pool, source, time, most, per_source)
  for _, over in ipairs(redis.call('ZRANGEBYSCORE', pool.ends, '-inf', time, 'LIMIT', 0, 100)) do drop(pool, over) end
  local gone = 0
  -- There is more than one too many only after the limit was lowered; then the next records remove the rest.
  while gone < 10 do
    local own = tonumber(redis.call('ZSCORE', pool.sources, source) or 0)
    local from
    if own >= per_source then
      from = pool.of .. source
    elseif redis.call('ZCARD', pool.ends) >= most then
      local top = redis.call('ZREVRANGE', pool.sources, 0, 0, 'WITHSCORES')
      local largest = tonumber(top[2] or 0)
      if own > 0 and own + 1 >= largest then
        from = pool.of .. source
      elseif largest > 1 then
        from = pool.of .. top[1]
      else
        from = pool.ends
      end
    else
      break
    end
    local oldest = redis.call('ZRANGE', from, 0, 0)[1]
    if not oldest then break end
    drop(pool, oldest)
    gone = gone + 1
  end
  return gone
end
