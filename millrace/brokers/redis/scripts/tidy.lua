#!lua flags=allow-oom
-- Delete consumers that hold nothing. ARGV: one that leaves now (or empty), ms after which others count as gone, and
-- queues; those that are not there are passed over.
for i = 3, #ARGV do
  local stream = key('stream', ARGV[i])
  local found = redis.pcall('XINFO', 'CONSUMERS', stream, GROUP)
  for _, consumer in ipairs(found.err and {} or found) do
    local facts = {}
    for j = 1, #consumer, 2 do
      facts[consumer[j]] = consumer[j + 1]
    end
    if facts.pending == 0 and (facts.name == ARGV[1] or facts.idle > tonumber(ARGV[2])) then
      redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, facts.name)
    end
  end
end
return redis.status_reply('OK')
