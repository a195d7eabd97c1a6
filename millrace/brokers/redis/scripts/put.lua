#!lua
-- Store messages, all or none. ARGV: queues, and of each its name and number of puts, then of each put
-- id, options (empty, or JSON: dedupe key, delay_ms, ttl_ms), number of what follows, fields and values.
-- Answers for each put its entry's id, or {message id, entry or empty} for a duplicate.
-- Errors: UNKNOWNQUEUE place; QUEUEFULL place, held, limit, refused.
local answers = {}
local position = 1

local function next_argument()
  position = position + 1
  return ARGV[position - 1]
end

local function first_of(settings, dedupe)
  settings.generation = settings.generation or redis.call('HGET', base .. 'generations', settings.name) or '0'
  local name = key('key', settings.name .. ':' .. settings.generation .. ':' .. dedupe)
  return name, redis.call('GET', name)
end

local NO_OPTIONS = {}

local function read_puts(settings, count)
  local puts, ids = {}, {}
  local delay_ms, ttl_ms = settings.delay_ms, settings.ttl_ms
  for i = 1, count do
    local id, options, first = ARGV[position], ARGV[position + 1], position + 3
    options = options == '' and NO_OPTIONS or cjson.decode(options)
    position = first + ARGV[position + 2]
    puts[i] = {
      id = id, dedupe = options.dedupe or '', delay_ms = options.delay_ms or delay_ms,
      ttl_ms = options.ttl_ms or ttl_ms, first = first, last = position - 1, fresh = false, entry = false,
    }
    ids[i] = id
  end
  return puts, ids
end

-- The entry of each id that is known, empty where its message is no longer in the queue.
local function known_ids(settings, ids)
  local queue = settings.name
  local known = {}
  local function note(places, is_known)
    for i, place in ipairs(places) do
      if place and not known[ids[i]] then
        known[ids[i]] = is_known(place)
      end
    end
  end
  note(call_all(ids, 'HMGET', key('ids', queue)), function(entry) -- others may have deleted it
    return redis.call('XRANGE', key('stream', queue), entry, entry)[1] and entry
  end)
  if redis.call('EXISTS', key('seen', queue)) == 1 then
    note(call_all(ids, 'ZMSCORE', key('seen', queue)), function(score) return tonumber(score) > now and '' end)
  end
  local grave = grave_of(queue)
  if redis.call('EXISTS', key('ids', grave)) == 1 then
    note(call_all(ids, 'HMGET', key('ids', grave)), function() return '' end)
  end
  return known
end

-- Which puts bring something new; the others get their answers' sources.
local function sift(settings, puts, known)
  local fresh, keys = 0, {}
  for _, put in ipairs(puts) do
    if put.dedupe ~= '' then
      put.key_name, put.answer = first_of(settings, put.dedupe)
      put.twin = not put.answer and keys[put.dedupe]
      keys[put.dedupe] = keys[put.dedupe] or put
    end
    if not put.answer and not put.twin then
      put.fresh = not known[put.id]
      if put.fresh then
        fresh = fresh + 1
        known[put.id] = put -- the next of this id in the same call is its duplicate
      end
    end
  end
  return fresh
end

local function store(settings, put)
  local stream = key('stream', settings.name)
  local extra = {}
  if put.ttl_ms then
    extra = { 'millrace-expires-at', string.format('%.3f', (now + put.ttl_ms) / 1000) }
  end
  if put.delay_ms > 0 then
    extra[#extra + 1] = 'millrace-delayed'
    extra[#extra + 1] = '1'
  end
  if #extra == 0 then
    put.entry = redis.call('XADD', stream, '*', unpack(ARGV, put.first, put.last))
  else
    for i = put.first, put.last do
      extra[#extra + 1] = ARGV[i]
    end
    put.entry = redis.call('XADD', stream, '*', unpack(extra))
  end
  if put.delay_ms > 0 then
    redis.call('ZADD', key('delayed', settings.name), now + put.delay_ms, put.entry)
  end
end

local function answer(settings, put, known)
  if put.twin then
    return { put.twin.answered_id, put.twin.answered_entry }
  end
  if put.answer then
    local entry, id = string.match(put.answer, '^(%S*) (.*)$')
    return { id, entry }
  end
  local first = known[put.id]
  local entry = put.entry or (type(first) == 'table' and first.entry) or first
  put.answered_id, put.answered_entry = put.id, entry
  if put.dedupe ~= '' and settings.dedupe_ms > 0 then
    redis.call('SET', put.key_name, entry .. ' ' .. put.id, 'PX', settings.dedupe_ms)
  end
  return put.entry or { put.id, entry }
end

local all = {}
for place = 1, tonumber(next_argument()) do
  local settings = settings_of(next_argument(), place)
  local puts, ids = read_puts(settings, tonumber(next_argument()))
  local known = known_ids(settings, ids)
  local fresh = sift(settings, puts, known)
  local held = settings.max_depth and redis.call('XLEN', key('stream', settings.name)) or 0
  if settings.max_depth and fresh > 0 and held + fresh > settings.max_depth then
    error({ err = table.concat({ 'QUEUEFULL', place, held, settings.max_depth, fresh }, ' ') })
  end
  all[place] = { settings = settings, puts = puts, known = known, fresh = fresh }
end
for _, each in ipairs(all) do
  local settings = each.settings
  local was_empty = settings.fifo or visible(settings.name) == 0
  local stored, delayed = {}, false
  for _, put in ipairs(each.puts) do
    if put.fresh then
      store(settings, put)
      stored[#stored + 1] = put.id
      stored[#stored + 1] = put.entry
      delayed = delayed or put.delay_ms > 0
    end
    answers[#answers + 1] = answer(settings, put, each.known)
  end
  call_all(stored, 'HSET', key('ids', settings.name))
  if #stored > 0 and (was_empty or delayed) then
    wake(settings.name) -- where something was visible before, whoever waits has been woken for that
  end
end
return answers
