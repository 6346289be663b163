-- offer: new states of users of one partition, each a compare-and-set of what is opaque here.
--
-- KEYS
--   1  presence:{p}:state
--   2  presence:{p}:log
--   3  presence:{p}:online
--   4  presence:{p}:custom-status
--   5  presence:{p}:new-custom-status: the list that takes the place of the fourth one, while a node makes it
-- ARGV
--   1  incarnation: 16 hexadecimal digits
--   2  connection number: decimal
--   3  length of the log
--   then six for each user:
--      user id
--      base: the 16 digits of the revision that the new state was built on, or '' for none
--      floor: the new revision is above it, decimal
--      'P' present, 'A' absent
--      custom status for other services: '' stays, '-' is removed, else its name
--      the new state: opaque
-- Answer: {time of Redis in µs, then one for each user:
--   '+' and the 16 digits of the new revision: it is taken
--   '=' and what is stored, '=' alone if nothing is: it was built on something else, nothing changed
--   '!': the memory is full, nothing changed; only for users who are present}
-- Error NOTREGISTERED: the incarnation is not registered with this connection number; nothing changed.
--
-- The entry is appended before the state is stored: where memory is full it is the first command that fails, and a script is
-- not rolled back. A removal comes first for users who are absent: after it the rest of the script is not refused memory.
local meta = redis.call('HMGET', KEYS[1], '\1h', '\1n' .. ARGV[1], '\1c', '\1l')
if not meta[2] or string.match(meta[2], '^%d+') ~= ARGV[2] then return redis.error_reply('-NOTREGISTERED the incarnation is not registered with this connection number') end
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.min(micros, 9006099743113215)
local head = tonumber(meta[1]) or 0
local answer = {string.format('%.0f', micros)}
-- How many custom statuses there are, if nobody else changes them: see list.
local count, is_listing = tonumber(meta[3]), meta[4]

local function list(user, custom)
  local change
  if custom == '-' then
    change = -redis.call('HDEL', KEYS[4], user)
    if is_listing then redis.call('HDEL', KEYS[5], user) end
  else
    change = redis.call('HSET', KEYS[4], user, custom)
    if is_listing then redis.call('HSET', KEYS[5], user, custom) end
  end
  if count and change ~= 0 then
    count = math.max(count + change, 0)
    redis.call('HSET', KEYS[1], '\1c', count)
  end
end

for i = 4, #ARGV, 6 do
  local user, base, floor, presence, custom, state = unpack(ARGV, i, i + 5)
  local stored = redis.call('HGET', KEYS[1], user)
  if (stored and string.sub(stored, 1, 16) or '') ~= base then
    answer[#answer + 1] = '=' .. (stored or '')
  else
    local revision = math.max(head + 1, tonumber(floor) + 1, now)
    local digits = string.format('%016.0f', revision)
    if presence == 'A' then redis.call('SREM', KEYS[3], user) end
    local added = redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], digits .. '-0',
      'p', string.format('%.0f', head), 'u', user, 'v', state, 'n', ARGV[1])
    if type(added) == 'table' and added.err then
      if not string.find(added.err, 'OOM', 1, true) then return added end
      answer[#answer + 1] = '!'
    else
      redis.call('HSET', KEYS[1], user, digits .. state, '\1h', digits)
      if presence == 'P' then redis.call('SADD', KEYS[3], user) end
      if custom ~= '' then list(user, custom) end
      head = revision
      answer[#answer + 1] = '+' .. digits
    end
  end
end
return answer
