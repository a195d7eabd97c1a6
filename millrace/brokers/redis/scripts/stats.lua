#!lua flags=no-writes
-- Count a queue. ARGV: queue. Answers visible, in flight, delayed, dead, ms since the oldest was sent (-1 when empty).
local queue = settings_of(ARGV[1], 1).name
local oldest = redis.call('XRANGE', key('stream', queue), '-', '+', 'COUNT', 1)[1]
local age_ms = -1
if oldest then
  local sent = tonumber(string.match(oldest[1], '^%d+'))
  for i = 1, #oldest[2], 2 do
    if oldest[2][i] == 'millrace-sent-at' then
      sent = (tonumber(oldest[2][i + 1]) or 0) * 1000
    end
  end
  age_ms = math.max(now - sent, 0)
end
local in_flight = redis.call('ZCOUNT', key('leases', queue), '(' .. now, '+inf')
local delayed = redis.call('ZCOUNT', key('delayed', queue), '(' .. now, '+inf')
return { visible(queue), in_flight, delayed, redis.call('XLEN', key('stream', grave_of(queue))), age_ms }
