#!lua flags=allow-oom
-- note: what changes no user's status: a tick, the end of a registration, users that the database has.
--
-- KEYS
--   1  presence:{p}:state
--   2  presence:{p}:log
--   3  presence:{p}:online
--   4  presence:{p}:custom-status
-- ARGV
--   1  incarnation: 16 hexadecimal digits
--   2  connection number: decimal
--   3  length of the log
--   4  'tick', 'ended' or 'dropped'
--   for a tick:  5  what it says: opaque
--   for an end:  5  whose registration: 16 hexadecimal digits  6  grace in ms, decimal  7  how many ends the state keeps
--   for a drop:  5…  user id and the 16 digits of its revision, in turns
-- Answer: {time of Redis in µs, id of the entry in decimal, or '' if nothing changed; after a tick also how many users are listed
--   as present, and whether the custom statuses are all there: 'complete', 'incomplete', or the incarnation that lists them}
-- Error NOTREGISTERED: the incarnation is not registered with this connection number; nothing changed.
local meta = redis.call('HMGET', KEYS[1], '\1h', '\1n' .. ARGV[1])
if not meta[2] or string.match(meta[2], '^%d+') ~= ARGV[2] then return redis.error_reply('-NOTREGISTERED the incarnation is not registered with this connection number') end
local time = redis.call('TIME')
local micros = string.format('%.0f', time[1] * 1000000 + time[2])
local head, kind = tonumber(meta[1]) or 0, ARGV[4]

-- As scripts have left the custom statuses, by their number: see list.
local function listed_custom()
  local fields = redis.call('HMGET', KEYS[1], '\1c', '\1l')
  if fields[2] and redis.call('HEXISTS', KEYS[1], '\1n' .. fields[2]) == 1 then return fields[2] end
  return tonumber(fields[1]) == redis.call('HLEN', KEYS[4]) and 'complete' or 'incomplete'
end

local fields, dropped = {'k', kind, 'n', ARGV[1]}, {}

if kind == 'tick' then
  fields[5], fields[6] = 'v', ARGV[5]
elseif kind == 'ended' then
  if redis.call('HEXISTS', KEYS[1], '\1n' .. ARGV[5]) == 0 then return {micros, ''} end
  fields[5], fields[6], fields[7], fields[8] = 'e', ARGV[5], 'v', ARGV[6]
elseif kind == 'dropped' then
  for i = 5, #ARGV, 2 do
    local stored = redis.call('HGET', KEYS[1], ARGV[i])
    if stored and string.sub(stored, 1, 16) == ARGV[i + 1] then
      dropped[#dropped + 1] = ARGV[i]
      fields[#fields + 1], fields[#fields + 2] = 'u', ARGV[i]
    end
  end
  if #dropped == 0 then return {micros, ''} end
else
  return redis.error_reply('-UNKNOWNKIND neither a tick, nor an end, nor a drop')
end

local id = string.format('%.0f', math.max(head + 1, math.min(tonumber(micros), 9006099743113215)))
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], id .. '-0', 'p', string.format('%.0f', head), unpack(fields))
redis.call('HSET', KEYS[1], '\1h', id)
if kind == 'ended' then
  redis.call('HDEL', KEYS[1], '\1n' .. ARGV[5])
  local ends = {ARGV[5] .. ' ' .. id .. ' ' .. ARGV[6]}
  for one in string.gmatch(redis.call('HGET', KEYS[1], '\1g') or '', '[^,]+') do
    if #ends < tonumber(ARGV[7]) and string.sub(one, 1, 16) ~= ARGV[5] then ends[#ends + 1] = one end
  end
  redis.call('HSET', KEYS[1], '\1g', table.concat(ends, ','))
end
for _, user in ipairs(dropped) do
  redis.call('HDEL', KEYS[1], user)
  redis.call('SREM', KEYS[3], user)
end
if #dropped > 0 then redis.call('HSET', KEYS[1], '\1d', id) end
if kind == 'tick' then return {micros, id, string.format('%.0f', redis.call('SCARD', KEYS[3])), listed_custom()} end
return {micros, id}
