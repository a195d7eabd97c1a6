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
    or redis.call('HEXISTS', key('state', queue), entry) == 1
end

-- Let new entries join their groups' lines; false when there are none.
local function index(settings, consumer, count)
  local fresh = read_new(settings, consumer, count)
  for _, each in ipairs(fresh or {}) do
    join(settings.name, each[1], each[6])
  end
  return fresh ~= nil
end
