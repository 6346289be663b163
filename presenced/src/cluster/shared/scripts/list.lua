-- list: what other services read becomes as it should be, a step at a time. No node reads it, so there are no entries. Where
-- memory is full nobody is added, and whoever is to be removed is: no flags, so that Redis refuses each command by itself.
--
-- KEYS
--   1  presence:{p}:state
--   2  presence:{p}:online
--   3  presence:{p}:custom-status
--   4  presence:{p}:new-custom-status: the list that takes the place of the third one
-- ARGV
--   1  incarnation: 16 hexadecimal digits
--   2  connection number: decimal
--   3  'present', 'strangers', 'begin', 'custom' or 'complete'
--   for 'present':    4…  user id, the 16 digits of its revision, 'P' present or 'A' absent, in turns
--   for 'strangers':  4  the place where to go on, decimal  5  about how many
--   for 'custom':     4  up to where the log was read, decimal
--                     5…  user id, the 16 digits of its revision or '' for no state, custom status, in turns
-- Answer: {time of Redis in µs, what became of it:
--   'done' | 'begun', at the head | 'goes-on', from the place | 'behind', users were dropped since | 'refused'
--   | 'full', the memory is, and there is no new list; then the number}
-- Error NOTREGISTERED: the incarnation is not registered with this connection number; nothing changed.
--
-- Of the partition's own fields in `state` (see register) \1l is the incarnation that makes a new list, \1c how many custom
-- statuses there are if nobody else changes them, \1d the last entry that dropped users.
local meta = redis.call('HMGET', KEYS[1], '\1h', '\1n' .. ARGV[1], '\1l', '\1d')
if not meta[2] or string.match(meta[2], '^%d+') ~= ARGV[2] then return redis.error_reply('-NOTREGISTERED the incarnation is not registered with this connection number') end
local time = redis.call('TIME')
local kind, lister = ARGV[3], meta[3]
local function answer(outcome, number)
  return {string.format('%.0f', time[1] * 1000000 + time[2]), outcome, number or '0'}
end
local function revision_of(user)
  local stored = redis.call('HGET', KEYS[1], user)
  return stored and string.sub(stored, 1, 16) or ''
end
-- Whether the command that adds was not refused memory.
local function adds(...)
  local added = redis.pcall(...)
  if type(added) ~= 'table' or not added.err then return true end
  if not string.find(added.err, 'OOM', 1, true) then error(added) end
  return false
end

if kind == 'present' then
  for i = 4, #ARGV, 3 do
    if revision_of(ARGV[i]) == ARGV[i + 1] then
      if ARGV[i + 2] == 'P' then adds('SADD', KEYS[2], ARGV[i]) else redis.call('SREM', KEYS[2], ARGV[i]) end
    end
  end
  return answer('done')
elseif kind == 'strangers' then
  local page = redis.call('SSCAN', KEYS[2], ARGV[4], 'COUNT', ARGV[5])
  for _, user in ipairs(page[2]) do
    if redis.call('HEXISTS', KEYS[1], user) == 0 then redis.call('SREM', KEYS[2], user) end
  end
  if page[1] == '0' then return answer('done') end
  return answer('goes-on', page[1])
elseif kind == 'begin' then
  local is_others = lister and lister ~= ARGV[1] and redis.call('HEXISTS', KEYS[1], '\1n' .. lister) == 1
  if is_others then return answer('refused') end
  if not adds('HSET', KEYS[1], '\1l', ARGV[1]) then return answer('full') end
  redis.call('UNLINK', KEYS[4])
  return answer('begun', meta[1])
elseif lister ~= ARGV[1] then
  return answer('refused')
elseif kind == 'custom' then
  if meta[4] and tonumber(meta[4]) > tonumber(ARGV[4]) then return answer('behind') end
  for i = 5, #ARGV, 3 do
    if revision_of(ARGV[i]) == ARGV[i + 1] and not adds('HSET', KEYS[4], ARGV[i], ARGV[i + 2]) then
      redis.call('UNLINK', KEYS[4])
      redis.call('HDEL', KEYS[1], '\1l')
      return answer('full')
    end
  end
  return answer('done')
elseif kind == 'complete' then
  if redis.call('EXISTS', KEYS[4]) == 1 then
    -- RENAME alone frees the old list in place: 60 ms for 62,500 fields.
    redis.call('UNLINK', KEYS[3])
    redis.call('RENAME', KEYS[4], KEYS[3])
  else
    redis.call('UNLINK', KEYS[3])
  end
  redis.call('HSET', KEYS[1], '\1c', redis.call('HLEN', KEYS[3]))
  redis.call('HDEL', KEYS[1], '\1l')
  return answer('done')
end
return redis.error_reply('-UNKNOWNKIND no step of a list')
