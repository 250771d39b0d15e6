-- Take one of a limited number of places.
--
-- KEYS: a sorted set of tokens by the time at which their places expire.
-- ARGV: the time now, the limit, the time at which this place expires, the token, and the seconds after which the set
-- expires. Returns 1 or 0 for taken or not.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
