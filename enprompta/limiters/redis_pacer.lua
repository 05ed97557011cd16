-- The policy of policy.py for a fleet: one account in Redis, every step of it one atomic run of this script.
--
-- Read policy.py first; functions and fields here carry its names. What differs:
--   * The clock is that of Redis. A request is let go in here before it is sent, and observed in here after its answer
--     has come, so the interval of the server's clock holds, and no client's clock matters.
--   * There is no line: each process has its own, and asks for a few requests at a time, so that none takes a window.
--   * Requests under way are members of a sorted set, with the time by which they are surely counted as the score. What
--     a process that died had under way is dropped by that time, like that of any other.
--   * 0 stands for false and for what is not known; FAR and -FAR for the infinities.
-- The constants in capitals are put in front of this text by redis.py, which takes them from policy.py.
--
-- KEYS: the account (hash), requests under way (sorted set), requests that ended without a reading (sorted set), the
--   processes that have asked lately (sorted set by time).
-- ARGV: the time, or '' for the present; then one of
--   acquire PREFIX FIRST COUNT   let up to COUNT requests go, as members PREFIX..FIRST and on;
--                                returns how many, the seconds to the next chance when none, the time, and how many
--                                processes have asked within TRANSIT, this one included
--   observe MEMBER SENT STATUS LIMIT REMAINING RESET DATE RETRY_AFTER     an answer; RETRY_AFTER may be ''
--   fail MEMBER                  no answer came
--   cancel MEMBER SENT           it was not sent
--   adopt PREFIX MEMBER...       exactly these of the PREFIX are under way

local FAR = 1e15
local ACCOUNT, FLIGHT, LOST, PROCESSES = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local function text(number)
  return string.format('%.17g', number) -- tostring() keeps 14 digits: a tenth of a millisecond of Unix time
end

local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1e6
else
  now = tonumber(ARGV[1])
end

local a = {
  limit = 0, length = 0, others = 0, seen = 0, floor = -FAR, reset = 0, newest = 0, remaining = 0, base = -FAR,
  sampled = 0, trusted = 0, sent = 0, counted = 0, rolled = -FAR, ends = FAR,
  low = -FAR, high = FAR, synced = now, slack = 0, granted = -FAR, blocked = -FAR, off = 0, bare = 0,
}
local stored = redis.call('HGETALL', ACCOUNT)
for i = 1, #stored, 2 do
  a[stored[i]] = tonumber(stored[i + 1])
end
a.granted = math.min(a.granted, now) -- the clock of Redis itself may have been set back

-- The server's clock.

local function low(at)
  return a.low - DRIFT * (at - a.synced)
end

local function high(at)
  return a.high + DRIFT * (at - a.synced)
end

local function surely(server_time)
  return (server_time - a.low - DRIFT * a.synced) / (1 - DRIFT)
end

local function synchronise(date, sent)
  local least, most = date - now, date + 1 - sent
  local lowest, highest = math.max(low(now), least), math.min(high(now), most)
  a.synced = now
  if lowest <= highest then
    a.low, a.high = lowest, highest
    return false
  end
  a.low, a.high = least, most
  return lowest - highest > STEP
end

-- Charges.

local function drop(base)
  return redis.call('ZREMRANGEBYSCORE', FLIGHT, '-inf', text(base))
    + redis.call('ZREMRANGEBYSCORE', LOST, '-inf', text(base))
end

local function charged()
  a.counted = a.counted + drop(a.base)
  return redis.call('ZCARD', FLIGHT) + redis.call('ZCARD', LOST)
end

local function finish(member, counted_by)
  if redis.call('ZREM', FLIGHT, member) == 1 and a.off == 0 then
    redis.call('ZADD', LOST, text(counted_by), member)
  end
end

-- Windows.

local function leave_window()
  a.floor, a.reset, a.newest, a.remaining, a.base = -FAR, 0, 0, a.limit, -FAR
  a.sampled, a.trusted, a.sent, a.counted, a.rolled, a.ends = 0, 0, 0, 0, -FAR, FAR
end

local function forget()
  a.limit, a.length, a.others, a.seen = 0, 0, 0, 0
  leave_window()
end

local function set_end()
  a.ends = a.reset == 0 and FAR or surely(a.reset + a.slack)
end

local function open(floor, reset)
  a.others = math.max(a.seen, DECAY * a.others)
  if a.others < 0.5 then
    a.others = 0
  end
  a.floor, a.reset, a.remaining = floor, reset, a.limit
  a.base = floor - high(now)
  drop(a.base)
  a.sampled = 0
  if reset == 0 then
    a.trusted = 0
  end
  a.seen, a.sent, a.counted = 0, 0, 0
  a.rolled = now
  set_end()
end

local function roll()
  if a.length == 0 then
    open(a.reset, 0)
    return
  end
  local passed = math.max(now + low(now) - a.slack - a.reset, 0)
  local floor = a.reset + math.floor(passed / a.length) * a.length
  open(floor, floor + a.length)
end

local function late_edge(sent, reset)
  a.slack = math.min(LATEST_EDGE, math.max(sent + low(now) - reset + 0.1, 2 * a.slack))
  if a.sampled == 0 then
    a.floor = a.length ~= 0 and reset - a.length or -FAR
    a.reset, a.remaining = reset, 0
    a.sampled, a.trusted = 1, 0
    a.counted, a.seen = a.limit, 0
  end
  set_end()
end

-- What may go: how many, and the seconds to the next chance when none.

local function probe(every)
  local wait = a.granted + every - now
  if wait <= 0 then
    return 1, 0
  end
  return 0, math.min(wait, a.ends - now)
end

local function share(left)
  local pace = (a.others - a.seen) / a.length
  local free = left - math.ceil(pace * (a.ends - now))
  if free > 0 then
    return free, 0
  end
  return 0, math.max(a.ends - (left - 1) / pace - now, 0) + TICK
end

local function room_in_window()
  local left = a.remaining - charged()
  if a.reset == 0 and left <= 0 then
    return probe(TRANSIT)
  end
  if left > 0 and a.sampled == 0 and (a.others > 0 or a.trusted == 0) then
    local opening = a.trusted == 1 and math.max(1, math.floor(a.limit - 2 * a.others)) or 1
    if a.sent >= opening then
      return probe(PROBE_EVERY)
    end
    left = math.min(left, opening - a.sent)
  elseif left > 0 and a.others > a.seen and a.length ~= 0 then
    return share(left)
  end
  if left > 0 then
    return left, 0
  end
  return 0, a.ends - now
end

local function room(wanted)
  if now < a.blocked then
    return 0, a.blocked - now
  end
  if a.off == 1 then
    return wanted, 0
  end
  if a.limit ~= 0 then
    if now >= a.ends then
      roll()
    end
    return room_in_window()
  end
  if redis.call('ZCARD', FLIGHT) == 0 then
    return 1, 0
  end
  return probe(PROBE_EVERY)
end

-- A request's life.

local function acquire(prefix, first, wanted)
  local allowed, wait = room(wanted)
  if a.limit ~= 0 then
    allowed = math.min(allowed, math.ceil(a.limit / CHUNKS))
  elseif allowed > 0 and redis.call('ZCARD', FLIGHT) == 0 then
    drop(now)
  end
  allowed = math.min(allowed, wanted)
  for i = 0, allowed - 1 do
    redis.call('ZADD', FLIGHT, text(now + TRANSIT), prefix .. (first + i))
  end
  if allowed > 0 then
    a.sent = a.sent + allowed
    a.granted = now
  end
  redis.call('ZADD', PROCESSES, text(now), prefix)
  redis.call('ZREMRANGEBYSCORE', PROCESSES, '-inf', text(now - TRANSIT))
  return { allowed, text(wait), text(now), redis.call('ZCARD', PROCESSES) }
end

local function block(till)
  a.blocked = math.max(a.blocked, till)
end

local function observe_bare(member, status, retry_after)
  finish(member, now)
  if status == 429 then
    block(now + (retry_after or PROBE_EVERY))
    a.remaining = 0
  elseif status < 500 and a.off == 0 then
    a.bare = a.bare + 1
    if a.limit == 0 or a.bare >= BARE_RUN then
      forget()
      a.off = 1
      redis.call('DEL', LOST)
    end
  end
end

local function place(sent, reset)
  if reset <= a.floor then
    if reset == a.floor and sent >= a.rolled then
      late_edge(sent, reset)
    end
    return false
  end
  if a.sampled == 1 then
    if reset < a.reset then
      return false
    end
    if reset > a.reset then
      open(a.reset, reset)
    end
  end
  return true
end

local function count(sent, status, limit, remaining, reset, counts)
  if a.sampled == 0 then
    if a.newest ~= 0 and reset > a.newest then
      local distance = reset - a.newest
      a.length = a.length == 0 and distance or math.min(a.length, distance)
    end
    a.newest, a.reset, a.sampled, a.remaining = reset, reset, 1, limit
    a.trusted = a.length ~= 0 and 1 or 0
  end
  if limit ~= a.limit then
    a.limit, a.others, a.seen = limit, 0, 0
  end
  a.remaining = math.min(a.remaining, status == 429 and 0 or remaining)
  a.base = math.max(a.base, sent)
  if counts then
    a.counted = a.counted + 1
  end
  local in_flight = charged() -- first: it also counts
  a.seen = math.max(a.seen, a.limit - a.remaining - in_flight - a.counted)
  set_end()
end

local function observe(member, sent, status, limit, remaining, reset, date, retry_after)
  local ahead = reset - date
  if limit == 0 or ahead < EARLIEST_RESET - (now - sent) or ahead > LONGEST_WAIT then
    observe_bare(member, status, retry_after)
    return
  end
  a.bare = 0
  if a.off == 1 then
    a.off = 0
    forget()
  end
  local limited = status == 429
  local clock_was_set = synchronise(date, sent)
  local other_limit = a.limit ~= 0 and a.limit ~= limit
  if limited and other_limit then
    finish(member, now)
    block(math.max(surely(reset + a.slack), now + (retry_after or 0)))
    a.trusted = 0
    set_end()
    return
  end
  local ours = redis.call('ZREM', FLIGHT, member) == 1
  if limited and retry_after then
    block(now + retry_after)
  end
  local earlier = a.reset ~= 0 and reset < a.reset
  if (clock_was_set and reset ~= a.reset) or (other_limit and earlier) then
    leave_window()
  end
  if place(sent, reset) then
    count(sent, status, limit, remaining, reset, ours and not limited)
  end
end

local function cancel(member, sent)
  if redis.call('ZREM', FLIGHT, member) == 1 and sent >= a.rolled then
    a.sent = a.sent - 1
  end
end

local function adopt(prefix)
  local theirs = {}
  for i = 4, #ARGV do
    theirs[ARGV[i]] = true
    redis.call('ZADD', FLIGHT, 'NX', text(now + TRANSIT), ARGV[i])
  end
  for _, member in ipairs(redis.call('ZRANGE', FLIGHT, 0, -1)) do
    if member:sub(1, #prefix) == prefix and not theirs[member] then
      finish(member, now) -- it was answered while Redis was away
    end
  end
end

local result = 0
local step = ARGV[2]
if step == 'acquire' then
  result = acquire(ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]))
elseif step == 'observe' then
  local n = {}
  for i = 4, 10 do
    n[i] = tonumber(ARGV[i])
  end
  observe(ARGV[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10])
elseif step == 'fail' then
  finish(ARGV[3], now + GRACE)
elseif step == 'cancel' then
  cancel(ARGV[3], tonumber(ARGV[4]))
else
  adopt(ARGV[3])
end

local fields = {}
for name, value in pairs(a) do
  fields[#fields + 1] = name
  fields[#fields + 1] = text(value)
end
redis.call('HSET', ACCOUNT, unpack(fields))
local reset_in = a.reset == 0 and 0 or a.reset - low(now) - now
local keep = math.max(2 * TRANSIT, 4 * a.length, a.blocked - now + 60, reset_in + 60)
for _, key in ipairs(KEYS) do
  redis.call('EXPIRE', key, math.ceil(math.min(keep, 2 * LONGEST_WAIT)))
end
return result
