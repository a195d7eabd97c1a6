#!lua flags=no-writes
-- Look at messages, oldest first. ARGV: queue, most, first entry (or -), most bytes, then message ids, if some are
-- chosen. Answers of each entry, state, attempts, fields and values.
local queue = settings_of(ARGV[1], 1).name
local most, budget = tonumber(ARGV[2]), tonumber(ARGV[4])
local found, answers = {}, {}
if #ARGV == 4 then
  found = most > 0 and redis.call('XRANGE', key('stream', queue), ARGV[3], '+', 'COUNT', most) or {}
else
  for _, entry in ipairs(entries_of(queue, { unpack(ARGV, 5) })) do
    found[#found + 1] = redis.call('XRANGE', key('stream', queue), entry, entry)[1]
  end
end
for _, each in ipairs(found) do
  local entry, fields = each[1], each[2]
  local _, size = read(entry, fields)
  budget = budget - size
  if #answers == most or (#answers > 0 and budget < 0) then
    break
  end
  local text = redis.call('HGET', key('state', queue), entry)
  local attempts = 0
  if text then
    _, attempts = state_of(text)
  end
  answers[#answers + 1] = { entry, standing_of(queue, entry), attempts, fields }
end
return answers
