-- Entries of a stream: their fields, their state, and how they come and go.
local NEVER = math.huge

-- Of an entry's fields: message id, bytes of the body, Unix ms of the end of its time to live, group, whether delayed.
local function read(entry, fields)
  local id, size, expires, group, delayed = entry, nil, NEVER, '', false
  for i = 1, #fields, 2 do
    local name = fields[i]
    if name == 'body' then
      size = size or #fields[i + 1]
    elseif name == 'millrace-id' then
      id = fields[i + 1]
    elseif name == 'millrace-expires-at' then
      expires = (tonumber(fields[i + 1]) or NEVER) * 1000
    elseif name == 'millrace-group' then
      group = fields[i + 1]
    elseif name == 'millrace-delayed' then
      delayed = true
    end
  end
  return id, size or 0, expires, group, delayed
end

-- token (`-` when nobody holds it), attempts, first taken and first failed (Unix ms, 0 for never), message id
local function state_of(text)
  local token, attempts, taken, failed, id = string.match(text, '^(%S+) (%d+) (%d+) (%d+) (.*)$')
  return token, tonumber(attempts), tonumber(taken), tonumber(failed), id
end

local function state_text(token, attempts, taken, failed, id)
  return token .. ' ' .. attempts .. ' ' .. taken .. ' ' .. failed .. ' ' .. id
end

local function fields_at(queue, entry)
  local found = redis.call('XRANGE', key('stream', queue), entry, entry)[1]
  return found and found[2]
end

local function remove(settings, entries, ids)
  local queue = settings.name
  if settings.fifo then
    leave(queue, entries)
  end
  call_all(entries, 'XACK', key('stream', queue), GROUP)
  call_all(entries, 'XDEL', key('stream', queue))
  call_all(entries, 'HDEL', key('state', queue))
  call_all(entries, 'ZREM', key('leases', queue))
  if redis.call('EXISTS', key('delayed', queue)) == 1 then
    call_all(entries, 'ZREM', key('delayed', queue))
  end
  if redis.call('EXISTS', key('again', queue)) == 1 then
    call_all(all_padded(entries), 'ZREM', key('again', queue))
  end
  call_all(ids, 'HDEL', key('ids', queue))
end

-- Know ids for the window from now on, and forget some whose window is over.
local function remember(settings, ids)
  local window = settings.dedupe_ms
  if window <= 0 or #ids == 0 then
    return
  end
  local name = key('seen', settings.name)
  call_all(scored(now + window, ids), 'ZADD', name)
  local stale = redis.call('ZCOUNT', name, '-inf', now)
  if stale > 0 then
    redis.call('ZREMRANGEBYRANK', name, 0, math.min(stale, 2 * #ids) - 1)
  end
  if redis.call('PTTL', name) < window then
    redis.call('PEXPIRE', name, window)
  end
end

-- Add a copy of a message to another queue as if it had just been put there; `more` are further fields.
local function transfer(settings, id, fields, without, more)
  local values = {}
  if settings.ttl_ms then
    values = { 'millrace-expires-at', string.format('%.3f', (now + settings.ttl_ms) / 1000) }
  end
  for i = 1, #fields, 2 do
    if not without[fields[i]] then
      values[#values + 1] = fields[i]
      values[#values + 1] = fields[i + 1]
    end
  end
  for _, each in ipairs(more) do
    values[#values + 1] = each
  end
  local entry = redis.call('XADD', key('stream', settings.name), '*', unpack(values))
  redis.call('HSET', key('ids', settings.name), id, entry)
  wake(settings.name)
end

-- The id and sending time of what others have put were its entry's: a copy must keep them.
local function named(entry, id, fields)
  if id ~= entry then
    return {}
  end
  return { 'millrace-id', id, 'millrace-sent-at', string.format('%.3f', tonumber(string.match(entry, '^%d+')) / 1000) }
end

local OWN = { ['millrace-expires-at'] = true, ['millrace-death'] = true, ['millrace-delayed'] = true }
local OWN_AND_ORIGIN = {
  ['millrace-expires-at'] = true, ['millrace-death'] = true, ['millrace-delayed'] = true, ['millrace-dead-from'] = true
}

-- Move a message to where the queue's dead letters go: `dead_to`, unless that is gone or has the id already.
local function bury(settings, entry, id, fields, death)
  local more = named(entry, id, fields)
  more[#more + 1] = 'millrace-death'
  more[#more + 1] = death
  remove(settings, { entry }, { id })
  remember(settings, { id })
  local target = settings.dead_to
  local redirected = target and redis.call('HEXISTS', KEYS[1], target) == 1
    and redis.call('HEXISTS', key('ids', target), id) == 0
  if redirected then
    more[#more + 1] = 'millrace-dead-from'
    more[#more + 1] = settings.name
    transfer(settings_of(target, 1), id, fields, OWN_AND_ORIGIN, more)
    return
  end
  local grave = settings_of(grave_of(settings.name), 1)
  grave.ttl_ms = nil
  local old = redis.call('HGET', key('ids', grave.name), id)
  if old then -- the dead letter of an id is its last
    remove(grave, { old }, { id })
  end
  transfer(grave, id, fields, OWN, more)
end

-- What was leased or delayed until now is visible again.
local function promote(settings)
  local queue = settings.name
  for _, kind in ipairs({ 'leases', 'delayed' }) do
    local past = redis.call('ZRANGEBYSCORE', key(kind, queue), '-inf', now, 'LIMIT', 0, CHUNK)
    if #past > 0 then
      call_all(past, 'ZREM', key(kind, queue))
      if settings.fifo then
        land(queue, past)
      else
        call_all(scored(0, all_padded(past)), 'ZADD', key('again', queue))
      end
    end
  end
end
