-- Add differences to counters; none falls below 0.
--
-- KEYS: the counters. ARGV: for each the difference, and the seconds after which it expires.
for i = 1, #KEYS do
  if redis.call('INCRBY', KEYS[i], ARGV[2 * i - 1]) < 0 then redis.call('SET', KEYS[i], '0') end
  redis.call('EXPIRE', KEYS[i], ARGV[2 * i])
end
