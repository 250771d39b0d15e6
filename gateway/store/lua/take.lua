-- Count amounts in several windows, or in none if one of them has no room.
--
-- KEYS: for each window the counter of this window, then for each the counter of the previous one.
-- ARGV: for each window its limit, the amount, the share of the previous window that still counts, and the seconds
-- after which the counter expires.
-- Returns 1 or 0 for counted or not, then for each window the previous count and this one.
local n, ok, counts = #KEYS / 2, 1, {}
for i = 1, n do
  local current = tonumber(redis.call('GET', KEYS[i]) or '0')
  local before = tonumber(redis.call('GET', KEYS[i + n]) or '0')
  counts[2 * i - 1], counts[2 * i] = before, current
  local used = before * tonumber(ARGV[4 * i - 1]) + current
  if used + tonumber(ARGV[4 * i - 2]) > tonumber(ARGV[4 * i - 3]) then ok = 0 end
end
if ok == 1 then
  for i = 1, n do
    redis.call('INCRBY', KEYS[i], ARGV[4 * i - 2])
    redis.call('EXPIRE', KEYS[i], ARGV[4 * i])
  end
end
return {ok, unpack(counts)}
