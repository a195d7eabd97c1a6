#!lua flags=allow-oom
-- Lease messages. ARGV: queue, limit, most bytes of bodies, lease ms (empty for the queue's own), token, consumer.
-- Answers {1 when it should be asked again, lease ms, now (Unix ms), leases}; of each lease entry, fields and values,
-- then, unless this is the first delivery of a message that may live for ever, attempts, first taken and first failed
-- (Unix ms, 0 for never), ms left to live (-1 for ever).
local MOST_BURIED = 500 -- in one call, during which the server does nothing else
local FIRST_CHUNK = 16
local NOBODYS = '?' -- the token of a lease that was taken from its holder
local settings = settings_of(ARGV[1], 1)
local queue = settings.name
local want, budget = tonumber(ARGV[2]), tonumber(ARGV[3])
local lease_ms = tonumber(ARGV[4]) or settings.lease_ms
local token, consumer = ARGV[5], ARGV[6]
local leased, mine, states, ends = {}, {}, {}, {}
local total, buried, full = 0, 0, false

local function death(reason, kind, text, attempts, failed)
  return cjson.encode({
    reason = reason, failure = { kind, text }, queue = queue, attempts = attempts,
    first_failed_at = (failed > 0 and failed or now) / 1000, last_failed_at = now / 1000,
  })
end

local function why_dead(expires, attempts, failed, holder)
  if settings.is_grave then
    return nil
  elseif expires <= now then
    return death('expired', 'Expired', 'not processed within its time to live', attempts, failed)
  elseif not settings.max_receives or attempts < settings.max_receives then
    return nil
  elseif holder == '-' then
    return death('failed', 'Failed', attempts .. ' deliveries, none succeeded', attempts, failed)
  end
  local text = attempts .. " deliveries, and the last one's lease ran out unsettled"
  return death('lost', 'LeaseLost', text, attempts, failed)
end

local FIRST = token .. ' 1 ' .. now .. ' 0 ' -- the state of most messages, but for their ids
local END = string.format('%.0f', now + lease_ms)

-- Lease a message, or bury it; false when there is no room for its body.
local function consider(entry, fields, text, id, size, expires)
  local holder, attempts, taken, failed = '-', 0, 0, 0
  if text then
    holder, attempts, taken, failed = state_of(text)
  end
  local dead = why_dead(expires, attempts, failed, holder)
  if dead then
    bury(settings, entry, id, fields, dead)
    buried = buried + 1
    return true
  end
  if #leased > 0 and total + size > budget then
    full = true
    return false
  end
  total = total + size
  mine[entry] = true
  states[#states + 1] = entry
  ends[#ends + 1] = END
  ends[#ends + 1] = entry
  if attempts == 0 and failed == 0 and expires == NEVER then
    states[#states + 1] = FIRST .. id
    leased[#leased + 1] = { entry, fields }
    return true
  end
  attempts = attempts + 1
  taken = taken > 0 and taken or now
  states[#states + 1] = state_text(token, attempts, taken, failed, id)
  leased[#leased + 1] = { entry, fields, attempts, taken, failed, expires == NEVER and -1 or expires - now }
  return true
end

-- How many to read next: their bodies must be read to be measured.
local function next_count()
  if #leased == 0 then
    return math.min(want, FIRST_CHUNK)
  end
  local fitting = math.floor((budget - total) / math.max(total / #leased, 1)) + 1
  return math.min(want - #leased, fitting, CHUNK)
end

-- Lease entries that were read before; those that were considered are returned.
local function take_known(entries)
  local texts = call_all(entries, 'HMGET', key('state', queue))
  local text_of, there, done = {}, {}, {}
  for i, entry in ipairs(entries) do
    text_of[entry] = texts[i]
  end
  local arguments = { unpack(entries) }
  arguments[#arguments + 1] = 'FORCE' -- those put with a delay may not have been read by the group yet
  local found = redis.call('XCLAIM', key('stream', queue), GROUP, consumer, 0, unpack(arguments))
  for _, each in ipairs(found) do
    there[each[1]] = each[2]
  end
  for _, entry in ipairs(entries) do
    local text = text_of[entry]
    if not there[entry] then
      local _, _, _, _, id = state_of(text or '- 0 0 0 ')
      remove(settings, { entry }, { id })
    elseif not consider(entry, there[entry], text, read(entry, there[entry])) then
      break
    end
    done[#done + 1] = entry
  end
  return done
end

local function take_fresh()
  local fresh = read_new(settings, consumer, next_count())
  local rest = {}
  for _, each in ipairs(fresh or {}) do
    local entry, fields, id, size, expires, _, delayed = unpack(each)
    local known = delayed and (mine[entry] or is_known(queue, entry))
    if not known and (full or not consider(entry, fields, false, id, size, expires)) then
      rest[#rest + 1] = padded(entry)
    end
  end
  call_all(scored(0, rest), 'ZADD', key('again', queue))
  return fresh ~= nil
end

local function take_plain()
  local texts = redis.call('ZRANGE', key('again', queue), 0, next_count() - 1)
  if #texts == 0 then
    return take_fresh()
  end
  local entries = {}
  for i, text in ipairs(texts) do
    entries[i] = unpadded(text)
  end
  call_all(all_padded(take_known(entries)), 'ZREM', key('again', queue))
  return true
end

-- The next of a group's line behind `after`, up to the first that is delayed.
local function next_in_line(group, after)
  local prefix = place_prefix(group)
  local from = after and '(' .. prefix .. padded(after) or '[' .. prefix
  local range = redis.call('ZRANGEBYLEX', key('line', queue), from, '[' .. prefix .. '\255', 'LIMIT', 0, next_count())
  local entries = {}
  local some_delayed = redis.call('EXISTS', key('delayed', queue)) == 1
  for _, place in ipairs(range) do
    local entry = unpadded(string.sub(place, #prefix + 1))
    if some_delayed and redis.call('ZSCORE', key('delayed', queue), entry) then
      break
    end
    entries[#entries + 1] = entry
  end
  return entries
end

-- What else was leased of the group is nobody's any more, or an old holder's work would overtake what is leased now.
local function revoke(group, after)
  local prefix = place_prefix(group)
  local from = '(' .. prefix .. padded(after)
  while from do
    local range = redis.call('ZRANGEBYLEX', key('line', queue), from, '[' .. prefix .. '\255', 'LIMIT', 0, FIRST_CHUNK)
    local entries = {}
    for i, place in ipairs(range) do
      entries[i] = unpadded(string.sub(place, #prefix + 1))
    end
    for i, text in ipairs(call_all(entries, 'HMGET', key('state', queue))) do
      if not text then -- it was never taken, nor was what is behind it
        return
      end
      local holder, attempts, taken, failed, id = state_of(text)
      if holder ~= '-' then
        states[#states + 1] = entries[i]
        states[#states + 1] = state_text(NOBODYS, attempts, taken, failed, id)
      end
    end
    from = #range == FIRST_CHUNK and '(' .. range[#range]
  end
end

local function take_group()
  local head = redis.call('ZRANGE', key('heads', queue), 0, 0)[1]
  if not head then
    return index(settings, consumer, math.min(math.max(want, FIRST_CHUNK), CHUNK))
  end
  local group = redis.call('HGET', key('groups', queue), unpadded(head))
  local before = #leased
  local entries = next_in_line(group, nil)
  while #entries > 0 and #leased < want and not full and buried < MOST_BURIED do
    take_known(entries)
    entries = #leased < want and next_in_line(group, entries[#entries]) or {}
  end
  local flying = {}
  for i = before + 1, #leased do
    flying[#flying + 1] = leased[i][1]
  end
  fly(queue, flying)
  refresh(queue, group)
  if #flying > 0 then
    revoke(group, flying[#flying])
  end
  return true
end

promote(settings)
local take_some = settings.fifo and take_group or take_plain
local rounds, left = 0, true
while left and #leased < want and not full and buried < MOST_BURIED and rounds < CHUNK do
  left = take_some()
  rounds = rounds + 1
end
call_all(states, 'HSET', key('state', queue))
call_all(ends, 'ZADD', key('leases', queue))
if settings.fifo then -- its groups were taken one after the other
  local places = {}
  for _, each in ipairs(leased) do
    places[each] = padded(each[1])
  end
  table.sort(leased, function(one, other) return places[one] < places[other] end)
end
local more = left and not full and #leased == 0 and want > 0
return { more and 1 or 0, lease_ms, now, leased }
