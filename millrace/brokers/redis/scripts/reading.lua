-- Reading what is new in the stream.

-- Begin anew with a stream whose group, or which itself, somebody deleted: nothing of what was in it is known.
local function reset(queue)
  for _, kind in ipairs(KINDS) do
    if kind ~= 'stream' and kind ~= 'seen' then
      redis.call('UNLINK', key(kind, queue))
    end
  end
  redis.call('XGROUP', 'CREATE', key('stream', queue), GROUP, '0', 'MKSTREAM')
end

-- The next entries {entry, fields, id, size, expires, group, delayed}, less those whose id is known: programs that put
-- without us may have put one twice. nil when there are none.
local function read_new(settings, consumer, count)
  local queue = settings.name
  local stream = key('stream', queue)
  local answer = redis.pcall('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', count, 'STREAMS', stream, '>')
  if answer and answer.err then
    if not string.find(answer.err, 'NOGROUP', 1, true) then
      error(answer)
    end
    reset(queue)
    answer = redis.call('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', count, 'STREAMS', stream, '>')
  end
  if not answer then
    return nil
  end
  local found, ids = answer[1][2], {}
  for i = 1, #found do
    local entry, fields = found[i][1], found[i][2]
    found[i] = { entry, fields, read(entry, fields) }
    ids[i] = found[i][3]
  end
  local fresh = {}
  for i, known in ipairs(call_all(ids, 'HMGET', key('ids', queue))) do
    local entry = found[i][1]
    if not known then
      known = redis.call('HGET', key('ids', queue), ids[i]) -- one before it in this very chunk may have its id
      local until_ms = redis.call('ZSCORE', key('seen', queue), ids[i])
      if not known and not (until_ms and tonumber(until_ms) > now) then
        redis.call('HSET', key('ids', queue), ids[i], entry)
        known = entry
      end
    end
    if known == entry then
      fresh[#fresh + 1] = found[i]
    else
      redis.call('XACK', stream, GROUP, entry)
      redis.call('XDEL', stream, entry)
    end
  end
  return fresh
end

-- Whether a message that was put with a delay has been seen already: then the sets know it.
local function is_known(queue, entry)
  return redis.call('ZSCORE', key('delayed', queue), entry)
    or redis.call('ZSCORE', key('again', queue), padded(entry))
    or redis.call('HEXISTS', key('groups', queue), entry) == 1
    or redis.call('HEXISTS', key('state', queue), entry) == 1
end

-- Let new entries join their groups' lines; false when there are none.
local function index(settings, consumer, count)
  local fresh = read_new(settings, consumer, count)
  local joining = {}
  for i, each in ipairs(fresh or {}) do
    joining[i] = { each[1], each[6] }
  end
  join(settings.name, joining)
  return fresh ~= nil
end

-- Whether the group has not read everything. `lag` is unknown where entries behind it were deleted.
local function has_unread(queue)
  local groups = redis.pcall('XINFO', 'GROUPS', key('stream', queue))
  for _, group in ipairs(groups.err and {} or groups) do
    local facts = {}
    for i = 1, #group, 2 do
      facts[group[i]] = group[i + 1]
    end
    if facts.name == GROUP then
      if facts.lag then
        return facts.lag > 0
      end
      local first = '(' .. facts['last-delivered-id']
      return #redis.call('XRANGE', key('stream', queue), first, '+', 'COUNT', 1) > 0
    end
  end
  return true -- no group: reading makes it anew
end

-- Messages that consumers of other programs read from the group and then kept for longer than a lease are visible
-- again; how many.
local function reclaim(settings)
  local queue = settings.name
  local stream, count = key('stream', queue), 0
  local found = redis.pcall('XPENDING', stream, GROUP, 'IDLE', settings.lease_ms, '-', '+', CHUNK)
  for _, each in ipairs(found.err and {} or found) do
    local entry = each[1]
    if not redis.call('ZSCORE', key('leases', queue), entry) and not is_known(queue, entry) then
      local fields = fields_at(queue, entry)
      if fields then
        local id, _, _, group = read(entry, fields)
        redis.call('HSETNX', key('ids', queue), id, entry)
        redis.call('HSET', key('state', queue), entry, state_text('-', each[4], 0, 0, id))
        if settings.fifo then
          join(queue, { { entry, group } })
        else
          redis.call('ZADD', key('again', queue), 0, padded(entry))
        end
        count = count + 1
      else
        redis.call('XACK', stream, GROUP, entry)
      end
    end
  end
  return count
end
