#!lua flags=allow-oom
-- End leases. ARGV: queue, then of each outcome its verdict (done, dead, retry, release), entry, token, and the
-- death as JSON or the delay in ms. Answers the places (from 1) of those that were not ours, which had no effect.
local settings = settings_of(ARGV[1], 1)
local queue = settings.name
local entries, lost = {}, {}
for i = 2, #ARGV, 4 do
  entries[#entries + 1] = ARGV[i + 1]
end
local texts = call_all(entries, 'HMGET', key('state', queue))
local done, done_ids, handled = {}, {}, {}
local idle, visible_again, states, delays = {}, {}, {}, {}

-- Give a message back; its state stays, but nobody holds it.
local function give_back(entry, attempts, taken, failed, id, delay_ms)
  idle[#idle + 1] = entry
  states[#states + 1] = entry
  states[#states + 1] = state_text('-', attempts, taken, failed, id)
  if delay_ms > 0 then
    delays[#delays + 1] = now + delay_ms
    delays[#delays + 1] = entry
  else
    visible_again[#visible_again + 1] = padded(entry)
  end
end

for i, entry in ipairs(entries) do
  local at = 4 * i - 2
  local verdict, token, extra = ARGV[at], ARGV[at + 2], ARGV[at + 3]
  local holder, id
  if texts[i] then
    holder, id = string.match(texts[i], '^(%S+) %d+ %d+ %d+ (.*)$')
  end
  if holder ~= token then
    lost[#lost + 1] = i
  elseif not handled[entry] then
    handled[entry] = true
    local _, attempts, taken, failed
    if verdict ~= 'done' then
      _, attempts, taken, failed = state_of(texts[i])
    end
    if verdict == 'done' then
      done[#done + 1], done_ids[#done_ids + 1] = entry, id
    elseif verdict == 'dead' then
      local fields = fields_at(queue, entry)
      if fields then
        bury(settings, entry, id, fields, extra)
      else
        remove(settings, { entry }, { id })
      end
    elseif verdict == 'retry' then
      give_back(entry, attempts, taken, failed > 0 and failed or now, id, tonumber(extra))
    else
      give_back(entry, attempts - 1, attempts > 1 and taken or 0, failed, id, 0)
    end
  end
end
if #done > 0 then
  remove(settings, done, done_ids)
  remember(settings, done_ids)
end
if #idle > 0 then
  call_all(idle, 'ZREM', key('leases', queue))
  call_all(states, 'HSET', key('state', queue))
  call_all(delays, 'ZADD', key('delayed', queue))
  if settings.fifo then
    land(queue, idle)
  else
    if redis.call('EXISTS', key('again', queue)) == 1 then -- a lease that ran out may have been put there already
      call_all(all_padded(idle), 'ZREM', key('again', queue))
    end
    call_all(scored(0, visible_again), 'ZADD', key('again', queue))
  end
end
if #idle > 0 or settings.fifo then
  wake(queue)
end
return lost
