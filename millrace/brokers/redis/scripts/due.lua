#!lua flags=allow-oom
-- When a take might give something. ARGV: queue, consumer.
-- Answers ms from now: 0 at once, -1 when nothing is there, -2 when it should be asked again.
local MOST_ROUNDS = 10
local settings = settings_of(ARGV[1], 1)
local queue = settings.name
local function is_due()
  if settings.fifo then
    return redis.call('EXISTS', key('heads', queue)) == 1
  end
  return redis.call('EXISTS', key('again', queue)) == 1 or has_unread(queue)
end

if visible(queue) > 0 then
  promote(settings)
  local rounds = 0
  while settings.fifo and not is_due() and index(settings, ARGV[2], CHUNK / 4) do
    rounds = rounds + 1
    if rounds == MOST_ROUNDS then
      return -2
    end
  end
  if is_due() or reclaim(settings) > 0 then
    return 0
  end
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
