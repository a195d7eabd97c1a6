#!lua flags=allow-oom
-- When a take might give something. ARGV: queue, consumer.
-- Answers ms from now: 0 at once, -1 when nothing is there, -2 when it should be asked again.
local MOST_ROUNDS = 10
local settings = settings_of(ARGV[1], 1)
local queue = settings.name
if settings.fifo then
  promote(settings)
  for _ = 1, MOST_ROUNDS do
    if redis.call('EXISTS', key('heads', queue)) == 1 then
      return 0
    elseif not index(settings, ARGV[2], CHUNK / 4) then
      break
    elseif _ == MOST_ROUNDS then
      return -2
    end
  end
elseif visible(queue) > 0 then
  return 0
end
local next_ms = -1
for _, kind in ipairs({ 'leases', 'delayed' }) do
  local first = redis.call('ZRANGEBYSCORE', key(kind, queue), '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  local in_ms = first and math.max(tonumber(first) - now, 1)
  if in_ms and (next_ms < 0 or in_ms < next_ms) then
    next_ms = in_ms
  end
end
return next_ms
