-- The groups of a FIFO queue. An entry joins its group's line when the group `millrace` reads it from the stream:
--   line:Q    every entry of every group in order, as group and entry   groups:Q  entry -> group
--   flight:Q  those that are leased, named alike                         heads:Q   the first entry of each open group
--   head:Q    group -> what stands for it in heads:Q
-- A group is open while none of it is in flight and its first is not delayed.
local function place_prefix(group)
  return #group .. ':' .. group .. ':'
end

local function refresh(queue, group)
  local old = redis.call('HGET', key('head', queue), group)
  local prefix = place_prefix(group)
  local from, to = '[' .. prefix, '[' .. prefix .. '\255'
  local head = false
  if not redis.call('ZRANGEBYLEX', key('flight', queue), from, to, 'LIMIT', 0, 1)[1] then
    local first = redis.call('ZRANGEBYLEX', key('line', queue), from, to, 'LIMIT', 0, 1)[1]
    if first then
      head = string.sub(first, #prefix + 1)
      if redis.call('ZSCORE', key('delayed', queue), unpadded(head)) then
        head = false
      end
    end
  end
  if old == head then
    return
  end
  if old then
    redis.call('ZREM', key('heads', queue), old)
    redis.call('HDEL', key('head', queue), group)
  end
  if head then
    redis.call('ZADD', key('heads', queue), 0, head)
    redis.call('HSET', key('head', queue), group, head)
  end
end

-- The groups of entries that were read, and what these are called in the line.
local function places_of(queue, entries)
  local groups, places = {}, {}
  for i, group in ipairs(call_all(entries, 'HMGET', key('groups', queue))) do
    if group then
      groups[group] = true
      places[#places + 1] = place_prefix(group) .. padded(entries[i])
    end
  end
  return groups, places
end

local function refresh_all(queue, groups)
  for group in pairs(groups) do
    refresh(queue, group)
  end
end

-- Entries are in flight no more, or are to be so: `command` is ZREM or ZADD.
local function land(queue, entries)
  local groups, places = places_of(queue, entries)
  call_all(places, 'ZREM', key('flight', queue))
  refresh_all(queue, groups)
end

local function fly(queue, entries)
  local groups, places = places_of(queue, entries)
  call_all(scored(0, places), 'ZADD', key('flight', queue))
  refresh_all(queue, groups)
end

local function leave(queue, entries)
  local groups, places = places_of(queue, entries)
  call_all(places, 'ZREM', key('flight', queue))
  call_all(places, 'ZREM', key('line', queue))
  call_all(entries, 'HDEL', key('groups', queue))
  refresh_all(queue, groups)
end

-- Entries {entry, group} come behind their groups' lines.
local function join(queue, pairs_of)
  local names, places, groups = {}, {}, {}
  for _, each in ipairs(pairs_of) do
    local entry, group = each[1], each[2]
    names[#names + 1] = entry
    names[#names + 1] = group
    places[#places + 1] = place_prefix(group) .. padded(entry)
    groups[group] = true
  end
  call_all(names, 'HSET', key('groups', queue))
  call_all(scored(0, places), 'ZADD', key('line', queue))
  refresh_all(queue, groups)
end
