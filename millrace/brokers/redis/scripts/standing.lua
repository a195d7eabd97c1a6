#!lua flags=no-writes
-- What leases of one queue are worth. ARGV: queue, then entry and token of each. Answers held, over, lost or gone.
local queue = settings_of(ARGV[1], 1).name
local entries, answers = {}, {}
for i = 2, #ARGV, 2 do
  entries[#entries + 1] = ARGV[i]
end
local ends = call_all(entries, 'ZMSCORE', key('leases', queue))
for i, text in ipairs(call_all(entries, 'HMGET', key('state', queue))) do
  if not text then
    local there = fields_at(queue, entries[i])
    answers[i] = there and 'lost' or 'gone'
  elseif state_of(text) ~= ARGV[2 * i + 1] then
    answers[i] = 'lost'
  else
    answers[i] = ends[i] and tonumber(ends[i]) > now and 'held' or 'over'
  end
end
return answers
