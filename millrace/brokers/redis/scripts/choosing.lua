-- Choosing messages for people.

-- The entries of these message ids, oldest first. What others have put has its entry for an id until it is taken.
local function entries_of(queue, ids)
  local texts = {}
  for i, entry in ipairs(call_all(ids, 'HMGET', key('ids', queue))) do
    if not entry and string.match(ids[i], '^%d+%-%d+$') and fields_at(queue, ids[i]) then
      entry = ids[i]
    end
    if entry then
      texts[#texts + 1] = padded(entry)
    end
  end
  table.sort(texts)
  local entries = {}
  for i, text in ipairs(texts) do
    if text ~= texts[i - 1] then
      entries[#entries + 1] = unpadded(text)
    end
  end
  return entries
end

local function standing_of(queue, entry)
  for kind, state in pairs({ leases = 'in_flight', delayed = 'delayed' }) do
    local ends = redis.call('ZSCORE', key(kind, queue), entry)
    if ends and tonumber(ends) > now then
      return state
    end
  end
  return 'ready'
end

local function last_of(queue)
  local facts = redis.call('XINFO', 'STREAM', key('stream', queue))
  for i = 1, #facts, 2 do
    if facts[i] == 'last-generated-id' then
      return facts[i + 1]
    end
  end
end

-- A page of entries: at most so many, and no more than a few when they are large.
local PAGE, PAGE_BYTES = 20, 8000000
local function page_of(queue, first, last, most)
  local found, total, next_first = {}, 0, first
  while next_first and #found < most and total < PAGE_BYTES do
    local some = redis.call('XRANGE', key('stream', queue), next_first, last, 'COUNT', PAGE)
    for _, each in ipairs(some) do
      found[#found + 1] = each
      local _, size = read(each[1], each[2])
      total = total + size
    end
    next_first = #some == PAGE and '(' .. some[#some][1]
  end
  return found, next_first
end

-- Some messages {entry, fields, id}, by id or from an entry up to another (`+`: the last that is there now); where the
-- next are (empty at the end), and up to which.
local function choose(queue, first, last, most, ids, in_flight)
  local found, next_first = {}, false
  if #ids > 0 then
    for _, entry in ipairs(entries_of(queue, ids)) do
      found[#found + 1] = redis.call('XRANGE', key('stream', queue), entry, entry)[1]
    end
  else
    last = last == '+' and last_of(queue) or last
    found, next_first = page_of(queue, first, last, most)
  end
  local chosen = {}
  for _, each in ipairs(found) do
    if in_flight or standing_of(queue, each[1]) ~= 'in_flight' then
      local id = read(each[1], each[2])
      chosen[#chosen + 1] = { each[1], each[2], id }
    end
  end
  return chosen, { next_first or '', last }
end
