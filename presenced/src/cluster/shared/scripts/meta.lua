#!lua
-- meta: what all nodes that share this Redis must have in common. The first one writes it.
--
-- KEYS
--   1  presence:meta
-- ARGV
--   1  how many of the fields must be the same on all nodes: the first ones
--   2… field and value, in turns
-- Answer: the stored value of each field, in the same order. If one that must be the same differs nothing was written, and ''
--   stands for what is missing.
local fields, own = {}, {}
for i = 2, #ARGV, 2 do
  fields[#fields + 1], own[#own + 1] = ARGV[i], ARGV[i + 1]
end
local stored, is_same = redis.call('HMGET', KEYS[1], unpack(fields)), true
for i = 1, tonumber(ARGV[1]) do
  if stored[i] and stored[i] ~= own[i] then is_same = false end
end
for i, field in ipairs(fields) do
  if not stored[i] and is_same then
    redis.call('HSET', KEYS[1], field, own[i])
    stored[i] = own[i]
  end
  stored[i] = stored[i] or ''
end
return stored
