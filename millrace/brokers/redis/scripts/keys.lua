-- Names, time and settings. KEYS[1] is the hash of all queues; every other key shares its tag and so its slot:
--   stream:Q   the messages, with the consumer group `millrace`      ids:Q     message id -> entry
--   state:Q    entry -> token, attempts, times, id (state_of)        seen:Q    settled ids, scored by when they are forgotten
--   leases:Q   entries in flight, by their lease's end               delayed:Q entries not visible yet, by when they are
--   again:Q    visible entries that the group has read already       key:Q:G:K a dedupe key; it expires by itself
-- and of a FIFO queue (fifo.lua): line:Q, groups:Q, flight:Q, heads:Q, head:Q.
local GROUP = 'millrace'
local CHUNK = 1000 -- most values that a command is given at once: Lua's stack ends at 8000
local KINDS = { 'stream', 'ids', 'state', 'seen', 'leases', 'delayed', 'again', 'line', 'groups', 'flight', 'heads', 'head' }

local base = string.sub(KEYS[1], 1, -7)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) -- Unix milliseconds

local function key(kind, queue)
  return base .. kind .. ':' .. queue
end

-- `place` says in the error which of the caller's queues it was.
local function settings_of(queue, place)
  local found = redis.call('HGET', KEYS[1], queue)
  if not found then
    error({ err = 'UNKNOWNQUEUE ' .. place })
  end
  local settings = cjson.decode(found)
  settings.name = queue
  settings.is_grave = string.sub(queue, -5) == '.dead'
  return settings
end

local function grave_of(queue)
  return string.sub(queue, -5) == '.dead' and queue or queue .. '.dead'
end

local function wake(queue)
  redis.call('PUBLISH', key('wake', queue), '')
end

-- command name [group] values..., in as many calls as it takes; their answers end to end.
local function call_all(values, command, name, group)
  local answers = {}
  for first = 1, #values, CHUNK do
    local last = math.min(first + CHUNK - 1, #values)
    local found
    if group then
      found = redis.call(command, name, group, unpack(values, first, last))
    else
      found = redis.call(command, name, unpack(values, first, last))
    end
    if type(found) == 'table' then
      for _, each in ipairs(found) do
        answers[#answers + 1] = each
      end
    end
  end
  return answers
end

-- Entry ids (`ms-n`) as text of one length, which sorts as they do.
local function padded(entry)
  local ms, n = string.match(entry, '^(%d+)%-(%d+)$')
  return string.rep('0', 20 - #ms) .. ms .. '-' .. string.rep('0', 20 - #n) .. n
end

local function unpadded(text)
  local ms, n = string.match(text, '^0*(%d+)%-0*(%d+)$')
  return ms .. '-' .. n
end

local function all_padded(entries)
  local texts = {}
  for i, entry in ipairs(entries) do
    texts[i] = padded(entry)
  end
  return texts
end

-- Each member with the same score, as ZADD wants them.
local function scored(score, members)
  local values = {}
  for _, member in ipairs(members) do
    values[#values + 1] = score
    values[#values + 1] = member
  end
  return values
end

-- What is visible now; what a FIFO queue's groups hide counts as visible.
local function visible(queue)
  return redis.call('XLEN', key('stream', queue))
    - redis.call('ZCOUNT', key('leases', queue), '(' .. now, '+inf')
    - redis.call('ZCOUNT', key('delayed', queue), '(' .. now, '+inf')
end
