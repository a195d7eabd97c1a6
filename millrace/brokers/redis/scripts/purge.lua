#!lua flags=allow-oom
-- Delete some messages. ARGV: queue, 1 for those in flight too, first entry, last entry, then message ids, if some are
-- chosen. Answers how many, where the
-- next are (empty at the end), and up to which.
local MOST = 500
local settings = settings_of(ARGV[1], 1)
local in_flight = ARGV[2] == '1'
local chosen, rest = choose(settings.name, ARGV[3], ARGV[4], MOST, { unpack(ARGV, 5) }, in_flight)
local entries, ids = {}, {}
for i, each in ipairs(chosen) do
  entries[i], ids[i] = each[1], each[3]
end
remove(settings, entries, ids)
if in_flight then
  wake(settings.name) -- a group of a FIFO queue may be open again
end
return { #chosen, unpack(rest) }
