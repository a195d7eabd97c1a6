#!lua
-- Make queues exist. ARGV: name and settings (JSON) of each. Errors: ORDERCHANGE place, where a queue that holds
-- messages was to become FIFO or to stop being it.
for i = 1, #ARGV, 2 do
  local old = redis.call('HGET', KEYS[1], ARGV[i])
  if old and (cjson.decode(old).fifo ~= cjson.decode(ARGV[i + 1]).fifo) then
    if redis.call('XLEN', key('stream', ARGV[i])) > 0 then
      error({ err = 'ORDERCHANGE ' .. (i + 1) / 2 })
    end
  end
end
local function create(queue)
  local done = redis.pcall('XGROUP', 'CREATE', key('stream', queue), GROUP, '0', 'MKSTREAM')
  if done.err and not string.find(done.err, 'BUSYGROUP', 1, true) then
    error(done)
  end
end
for i = 1, #ARGV, 2 do
  local queue, grave = ARGV[i], grave_of(ARGV[i])
  create(queue)
  create(grave)
  redis.call('HSET', KEYS[1], queue, ARGV[i + 1])
  if grave ~= queue then
    local settings = cjson.decode(ARGV[i + 1])
    local plain = { lease_ms = settings.lease_ms, max_receives = 5, fifo = false, dedupe_ms = 86400000, delay_ms = 0 }
    redis.call('HSETNX', KEYS[1], grave, cjson.encode(plain))
  end
end
return redis.status_reply('OK')
