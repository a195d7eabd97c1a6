#!lua flags=allow-oom
-- Renew leases of one queue. ARGV: queue, lease ms from now, then entry and token of each.
-- Answers the places (from 1) of those that were lost.
local settings = settings_of(ARGV[1], 1)
local queue, ends = settings.name, now + tonumber(ARGV[2])
local entries, lost, ours = {}, {}, {}
for i = 3, #ARGV, 2 do
  entries[#entries + 1] = ARGV[i]
end
local sooner = false
for i, text in ipairs(call_all(entries, 'HMGET', key('state', queue))) do
  if text and state_of(text) == ARGV[2 * i + 2] then
    ours[#ours + 1] = entries[i]
  else
    lost[#lost + 1] = i
  end
end
for _, old in ipairs(call_all(ours, 'ZMSCORE', key('leases', queue))) do
  sooner = sooner or not old or tonumber(old) > ends
end
call_all(scored(ends, ours), 'ZADD', key('leases', queue))
if #ours > 0 then
  if settings.fifo then
    fly(queue, ours)
  elseif redis.call('EXISTS', key('again', queue)) == 1 then
    call_all(all_padded(ours), 'ZREM', key('again', queue))
  end
end
if sooner then
  wake(queue) -- whoever waits may have to wait for less
end
return lost
