#!lua flags=allow-oom
-- Delete queues with their dead-letter queues and all that they know. ARGV: their names. All or none.
-- Errors: UNKNOWNQUEUE place; NOTALONE place, where one holds the dead letters of another.
for place, queue in ipairs(ARGV) do
  settings_of(queue, place)
  local owner = string.sub(queue, 1, -6)
  if grave_of(queue) == queue and redis.call('HEXISTS', KEYS[1], owner) == 1 then
    error({ err = 'NOTALONE ' .. place })
  end
end
for _, queue in ipairs(ARGV) do
  for _, name in ipairs({ queue, grave_of(queue) }) do
    for _, kind in ipairs(KINDS) do
      redis.call('UNLINK', key(kind, name))
    end
    redis.call('HDEL', KEYS[1], name)
    redis.call('HINCRBY', base .. 'generations', name, 1) -- its dedupe keys are out of reach, and expire
    wake(name)
  end
end
return redis.status_reply('OK')
