#!lua
-- Move some messages that are not in flight and whose ids the target has not. ARGV: source, target, first entry, last
-- entry, then message ids, if some are chosen. Answers how many, where the
-- next are (empty at the end), and up to which.
local MOST = 200
local source, target = settings_of(ARGV[1], 1), settings_of(ARGV[2], 2)
local owner = source.is_grave and string.sub(source.name, 1, -6) or source.name
local chosen, rest = choose(source.name, ARGV[3], ARGV[4], MOST, { unpack(ARGV, 5) }, false)
local count = 0
for _, each in ipairs(chosen) do
  local entry, fields, id = unpack(each)
  if redis.call('HEXISTS', key('ids', target.name), id) == 0 then
    local is_dead = false
    for i = 1, #fields, 2 do
      is_dead = is_dead or fields[i] == 'millrace-death'
    end
    remove(source, { entry }, { id })
    redis.call('ZREM', key('seen', owner), id)
    redis.call('ZREM', key('seen', target.name), id)
    transfer(target, id, fields, is_dead and OWN_AND_ORIGIN or OWN, named(entry, id, fields))
    count = count + 1
  end
end
return { count, unpack(rest) }
