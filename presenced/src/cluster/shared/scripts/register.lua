#!lua flags=allow-oom
-- register: a node begins a connection to one partition, and a new epoch where the history is broken.
--
-- KEYS
--   1  presence:{p}:state
--   2  presence:{p}:log
-- ARGV
--   1  incarnation: 16 hexadecimal digits
--   2  connection number: decimal
--   3  what the node tells of itself: opaque
--   4  random number of the epoch that begins if one must: 16 hexadecimal digits
--   5  floor: the highest revision that the node has read, decimal
--   6  length of the log
-- Answer: {epoch, head, time of Redis in µs, 1 if the incarnation was not registered before, else 0}
--
-- Fields of `state` that begin with \1 are the partition's own: \1h head, \1e epoch, \1r the run id of the server that wrote
-- last, \1n<incarnation> a registration: "<connection number> <what the node tells>", \1g the last ends of registrations in this
-- epoch, the newest first, one of an incarnation that is not registered: "<incarnation> <id of the entry> <grace in ms>",
-- separated by commas; those of list. User ids have no control characters.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
local meta = redis.call('HMGET', KEYS[1], '\1h', '\1e', '\1r', '\1n' .. ARGV[1])
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.min(micros, 9006099743113215)
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local last = newest and tonumber(string.match(newest[1], '^%d+')) or 0
-- The log may be ahead of the state, and the node of both, after keys were lost or the server was restored from a copy.
local head = math.max(tonumber(meta[1]) or 0, last, tonumber(ARGV[5]))
local epoch, known, is_new = meta[2], meta[4], 0

local function append(...)
  local id = math.max(head + 1, now)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], string.format('%.0f-0', id), 'p', string.format('%.0f', head), ...)
  head = id
  return id
end

if not epoch or meta[3] ~= run then
  epoch = string.format('%.0f-%s', math.max(head + 1, now), ARGV[4])
  append('k', 'epoch', 'v', epoch)
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 2) == '\1n' then redis.call('HDEL', KEYS[1], field) end
  end
  -- Custom statuses are listed anew: those of absent users may be of before.
  redis.call('HDEL', KEYS[1], '\1c', '\1l', '\1g')
  redis.call('HSET', KEYS[1], '\1e', epoch, '\1r', run)
  known = false
end
local number = known and tonumber(string.match(known, '^%d+'))
if not number then
  is_new = 1
  append('k', 'registered', 'n', ARGV[1], 'v', ARGV[3])
  -- The end of before would count again if a node of a version without \1g ended this registration.
  local ends, kept = redis.call('HGET', KEYS[1], '\1g') or '', {}
  for one in string.gmatch(ends, '[^,]+') do
    if string.sub(one, 1, 16) ~= ARGV[1] then kept[#kept + 1] = one end
  end
  if #kept == 0 then redis.call('HDEL', KEYS[1], '\1g') else redis.call('HSET', KEYS[1], '\1g', table.concat(kept, ',')) end
end
if not number or number < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], '\1n' .. ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
end
redis.call('HSET', KEYS[1], '\1h', string.format('%.0f', head))
return {epoch, string.format('%.0f', head), string.format('%.0f', micros), is_new}
