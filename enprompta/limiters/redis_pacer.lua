-- The pacing policy of pacer.py for several processes: one account in Redis, each step one atomic run of this script.
--
-- Read pacer.py and blocks.py first; functions and fields have the same names here. The differences:
--   * The clock is that of Redis. A request is granted here before it is sent and observed here after its response has
--     come, so the interval of the server's clock holds and the clients' clocks do not matter.
--   * There is no queue: each process has its own, and asks for a few requests at a time, so that none takes a window.
--   * Requests in flight are members of a sorted set. The score is the time by which the server has counted them for
--     certain; then they are dropped, also those of a process that has died.
--   * 0 means false or unknown; FAR and -FAR mean infinity.
-- redis.py puts the constants in capitals before this text.
--
-- KEYS: the account (hash), requests in flight (sorted set), requests that ended without a reading (sorted set), the
--   processes that have asked recently (sorted set by time).
-- ARGV: the time, or '' for now; then one of
--   acquire PREFIX FIRST COUNT   grant up to COUNT requests, as members PREFIX..FIRST and following;
--                                returns their number, the time, the number of processes that have asked within
--                                TRANSIT (this one included), and the four times of Room (see blocks.py)
--   observe MEMBER SENT STATUS LIMIT REMAINING RESET DATE RETRY_AFTER     a response came; RETRY_AFTER may be ''
--   fail MEMBER SENT             no response came
--   cancel MEMBER SENT           the request was not sent
--   reset                        forget what responses have reported
--   adopt PREFIX MEMBER...       exactly these requests of the PREFIX are in flight

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

-- The fields of the account: start value, then the least and greatest valid value.
local MOST, FUTURE = 1e12, now + 2 * LONGEST_WAIT -- of requests or Unix seconds; of this clock's times
local FIELDS = {
  limit = { 0, 0, MOST }, length = { 0, 0, LONGEST_WAIT }, others = { 0, 0, MOST }, seen = { 0, 0, MOST },
  floor = { -FAR, -FAR, MOST }, reset = { 0, 0, MOST }, newest = { 0, 0, MOST }, remaining = { 0, 0, MOST },
  base = { -FAR, -FAR, FUTURE }, sampled = { 0, 0, 1 }, trusted = { 0, 0, 1 }, sent = { 0, -1e6, MOST },
  counted = { 0, 0, 2 * MOST }, entered_at = { -FAR, -FAR, FUTURE }, ends_at = { FAR, -FAR, FAR },
  low = { -FAR, -FAR, FAR }, high = { FAR, -FAR, FAR }, synced = { now, -FAR, FUTURE },
  reset_margin = { 0, 0, LATEST_EDGE }, granted = { -FAR, -FAR, FUTURE }, blocked = { -FAR, -FAR, FUTURE },
  off = { 0, 0, 1 }, bare = { 0, 0, BARE_RUN }, hollow = { -1, -1, MOST },
  since = { FAR, -FAR, FAR }, held = { FAR, -FAR, FAR }, confirmed = { 0, 0, 1 }, probed = { -FAR, -FAR, FUTURE }, probing = { 0, 0, 1 },
  strikes = { 0, 0, MOST }, struck = { -FAR, -FAR, FUTURE }, paused = { -FAR, -FAR, FUTURE },
}
local a = {}

local function start_again()
  for name, field in pairs(FIELDS) do
    a[name] = field[1]
  end
end

local function surely(server_time)
  return (server_time - a.low - DRIFT * a.synced) / (1 - DRIFT)
end

local function makes_sense()
  if a.remaining > a.limit or a.others > a.limit or a.seen > a.limit or (a.length > 0 and a.length < 1) then
    return false
  end
  if a.low > a.high or a.floor > a.high + FUTURE or (a.low == -FAR and a.floor > -FAR) then
    return false
  end
  if a.reset == 0 then
    return a.ends_at == FAR
  end
  return a.floor < a.reset and math.abs(a.ends_at - surely(a.reset + a.reset_margin)) < 2 * NEXT_PROBE
end

-- This script never writes an invalid value. If it finds one, the account starts again.
local function recall(stored)
  for i = 1, #stored, 2 do
    local field = FIELDS[stored[i]]
    if field then
      local value = tonumber(stored[i + 1])
      if not (value and value >= field[2] and value <= field[3]) then -- which also catches NaN
        return false
      end
      if field[3] == 1 and value ~= 0 and value ~= 1 then
        return false
      end
      a[stored[i]] = value
    end
  end
  return makes_sense()
end

for i, kind in ipairs({ 'hash', 'zset', 'zset', 'zset' }) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= kind and found ~= 'none' then
    redis.call('DEL', KEYS[i])
  end
end
start_again()
if not recall(redis.call('HGETALL', ACCOUNT)) then
  redis.call('DEL', ACCOUNT)
  start_again()
end
for _, name in ipairs({ 'granted', 'probed', 'struck' }) do
  a[name] = math.min(a[name], now) -- the clock of Redis may have been set back
end
for _, name in ipairs({ 'since', 'held' }) do
  if a[name] ~= FAR then
    a[name] = math.min(a[name], now)
  end
end
a.paused = math.min(a.paused, now + LONGEST_PAUSE)
-- No charge lasts longer than TRANSIT; twice that allows for a clock of Redis that was set back.
redis.call('ZREMRANGEBYSCORE', FLIGHT, text(now + 2 * TRANSIT), '+inf')
redis.call('ZREMRANGEBYSCORE', LOST, text(now + 2 * TRANSIT), '+inf')

-- The server's clock.

local function low(at)
  return a.low - DRIFT * (at - a.synced)
end

local function high(at)
  return a.high + DRIFT * (at - a.synced)
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
  a.sampled, a.trusted, a.sent, a.counted, a.entered_at, a.ends_at = 0, 0, 0, 0, -FAR, FAR
end

local function forget()
  a.limit, a.length, a.others, a.seen = 0, 0, 0, 0
  leave_window()
end

local function set_end()
  a.ends_at = a.reset == 0 and FAR or surely(a.reset + a.reset_margin)
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
  a.entered_at = now
  set_end()
end

local function roll()
  if a.length == 0 then
    open(a.reset, 0)
    return
  end
  local passed = math.max(now + low(now) - a.reset_margin - a.reset, 0)
  local floor = a.reset + math.floor(passed / a.length) * a.length
  open(floor, floor + a.length)
end

local function late_edge(sent, reset)
  a.reset_margin = math.min(LATEST_EDGE, math.max(sent + low(now) - reset + 0.1, 2 * a.reset_margin))
  if a.sampled == 0 then
    a.floor = a.length ~= 0 and reset - a.length or -FAR
    a.reset, a.remaining = reset, 0
    a.sampled, a.trusted = 1, 0
    a.counted, a.seen = a.limit, 0
  end
  set_end()
end

-- Room: how many requests may go, and the seconds until the next chance if none.

local function probe(every)
  local wait = a.granted + every - now
  if wait <= 0 then
    return 1, 0
  end
  return 0, math.min(wait, a.ends_at - now)
end

local function share(left)
  local pace = (a.others - a.seen) / a.length
  local free = left - math.ceil(pace * (a.ends_at - now))
  if free > 0 then
    return free, 0
  end
  return 0, math.max(a.ends_at - (left - 1) / pace - now, 0) + TICK
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
  return 0, a.ends_at - now
end

local function ordinary_room(wanted)
  if now < a.blocked then
    return 0, a.blocked - now
  end
  if a.off == 1 then
    return wanted, 0
  end
  if a.limit ~= 0 then
    if now >= a.ends_at then
      roll()
    end
    return room_in_window()
  end
  if redis.call('ZCARD', FLIGHT) == 0 then
    return 1, 0
  end
  return probe(PROBE_EVERY)
end

-- Blocks and pauses.

local function lift()
  a.since, a.confirmed, a.probing = FAR, 0, 0
end

local function block_room(wait)
  local due = math.max(a.since + LONG, a.probed + NEXT_PROBE) - now
  if due <= 0 then
    return 1, 0, 0, 0, 0
  end
  local look = math.min(due, wait)
  local chance = a.confirmed == 1 and wait or a.probing == 1 and SOON or look
  return 0, wait, chance, now - a.held, look
end

local function pause_room(free)
  if a.strikes == 0 then
    return free, 0, 0, 0, 0
  end
  local wait = (a.granted < a.paused and a.paused or a.granted + PAUSE) - now
  if wait <= 0 then
    return 1, 0, 0, 0, 0
  end
  return 0, wait, wait, now - a.struck, wait
end

local function is_claim(wait)
  if wait <= LONG then
    return false
  end
  return now < a.blocked or wait > LONGEST_OWN_WAIT or (a.seen > 0 and a.remaining == 0)
end

-- The number of requests that may go, then four times in seconds from now: see Room in blocks.py.
local function room(wanted)
  local free, wait = ordinary_room(wanted)
  if free > 0 then
    lift()
    a.held = FAR
    return pause_room(free)
  end
  if a.since == FAR then
    if not is_claim(wait) then
      return 0, wait, wait, 0, wait
    end
    a.since, a.held, a.confirmed, a.probing = now, math.min(a.held, now), 0, 0
  end
  return block_room(wait)
end

local function strike(sent, retry_after)
  if sent < a.paused then
    return
  end
  if a.strikes == 0 then
    a.struck = now
  end
  a.strikes = a.strikes + 1
  local longest = math.min(LONGEST_PAUSE, a.length ~= 0 and a.length or FAR)
  if retry_after and a.strikes == 1 then
    longest = math.min(longest, retry_after)
  end
  a.paused = now + math.min(PAUSE * 2 ^ math.min(a.strikes - 1, 10), longest)
end

local function end_pause(sent)
  if a.strikes > 0 and sent >= a.paused then
    a.strikes, a.struck, a.paused = 0, -FAR, -FAR
  end
end

local function end_probe(sent)
  if sent == a.probed then
    a.probing = 0
  end
end

-- Life cycle of a request.

local function acquire(prefix, first, wanted)
  local allowed, wait, chance, age, look = room(wanted)
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
    if a.since ~= FAR then
      a.probed, a.probing = now, 1
    end
  end
  redis.call('ZADD', PROCESSES, text(now), prefix)
  redis.call('ZREMRANGEBYSCORE', PROCESSES, '-inf', text(now - TRANSIT))
  redis.call('ZREMRANGEBYSCORE', PROCESSES, text(now + TRANSIT), '+inf')
  return { allowed, text(now), redis.call('ZCARD', PROCESSES), text(wait), text(chance), text(age), text(look) }
end

local function block(till)
  a.blocked = math.max(a.blocked, till)
end

local function lift_doubtfully()
  a.blocked, a.granted = -FAR, -FAR
  lift()
  a.sampled, a.trusted = 0, 0
end

local function refute_window()
  leave_window()
  a.counted, a.seen = a.limit, 0
end

local function unblock()
  a.blocked = -FAR
  lift()
  refute_window()
end

local function observe_bare(member, sent, status, retry_after, fresh)
  finish(member, now)
  if status == 429 then
    if a.since == FAR then
      strike(sent, retry_after)
    end
    return
  end
  if status >= 500 then
    return
  end
  end_pause(sent)
  if status < 400 then
    if fresh then
      unblock()
    elseif a.blocked > now then
      lift_doubtfully()
    end
  end
  if a.off == 0 then
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
    if reset == a.floor and sent >= a.entered_at then
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
      a.length = math.min(a.length == 0 and LONGEST_WAIT or a.length, distance)
    end
    a.newest, a.reset, a.sampled, a.remaining = reset, reset, 1, limit
    a.trusted = a.length ~= 0 and 1 or 0
  end
  if limit ~= a.limit then
    a.limit, a.others, a.seen = limit, 0, 0
  end
  a.remaining = math.min(a.remaining, status == 429 and 0 or remaining)
  a.base = math.max(a.base, sent)
  a.counted = a.counted + drop(a.base) + (counts and 1 or 0)
  a.seen = math.max(a.seen, a.limit - a.remaining - charged() - a.counted)
  set_end()
end

local function is_hollow(status, limit, remaining, reset, fresh)
  if remaining ~= 0 or limit == 0 or status >= 500 or status == 429 then
    return false
  end
  if fresh and reset == a.reset then
    a.hollow = reset
  end
  return reset == a.hollow
end

local function refutes(reset)
  if a.reset == 0 or a.reset - reset <= LONGEST_OWN_WAIT then
    return false
  end
  return reset > now + high(now)
end

local function observe_budget(member, sent, status, limit, remaining, reset, date, retry_after, fresh)
  a.bare = 0
  if a.off == 1 then
    a.off = 0
    forget()
  end
  local limited = status == 429
  end_pause(sent)
  local clock_was_set = synchronise(date, sent)
  if fresh and not limited then
    unblock()
  elseif fresh then
    a.blocked = -FAR
    if reset ~= a.reset then
      leave_window()
    end
  end
  local other_limit = a.limit ~= 0 and a.limit ~= limit
  if limited and other_limit then
    finish(member, now)
    block(math.max(surely(reset + a.reset_margin), now + (retry_after or 0)))
    a.trusted = 0
    set_end()
    return
  end
  local doubtful = not (fresh or limited) and a.blocked > now
  local ours = redis.call('ZREM', FLIGHT, member) == 1
  if limited and retry_after then
    block(now + retry_after)
  end
  local earlier = a.reset ~= 0 and reset < a.reset
  if (clock_was_set and reset ~= a.reset) or (other_limit and earlier) then
    leave_window()
  elseif earlier and refutes(reset) then
    refute_window()
  end
  local sampled = a.sampled == 1
  if place(sent, reset) then
    count(sent, status, limit, remaining, reset, ours and not limited)
  elseif limited and sampled and sent >= a.entered_at then
    strike(sent, nil)
  end
  if doubtful then
    lift_doubtfully()
  end
end

local function observe(member, sent, status, limit, remaining, reset, date, retry_after)
  local fresh = sent > a.since
  end_probe(sent)
  if status == 429 and fresh then
    a.confirmed = 1
  end
  local ahead = reset - date
  local consistent = limit > 0 and ahead >= EARLIEST_RESET - (now - sent) and ahead <= LONGEST_WAIT
  if is_hollow(status, limit, remaining, reset, fresh) or not consistent then
    observe_bare(member, sent, status, retry_after, fresh)
  else
    observe_budget(member, sent, status, limit, remaining, reset, date, retry_after, fresh)
  end
  if now < a.blocked
    or (a.limit ~= 0 and a.remaining <= charged()) then
    room(1)
  end
end

local function cancel(member, sent)
  if sent == a.probed and a.probing == 1 then
    a.probed, a.probing = -FAR, 0
  end
  if redis.call('ZREM', FLIGHT, member) == 1 and sent >= a.entered_at then
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
      finish(member, now) -- it was answered while Redis was unavailable
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
  end_probe(tonumber(ARGV[4]))
  finish(ARGV[3], now + GRACE)
elseif step == 'cancel' then
  cancel(ARGV[3], tonumber(ARGV[4]))
elseif step == 'reset' then
  start_again()
else
  adopt(ARGV[3])
end

local fields = {}
for name, value in pairs(a) do
  fields[#fields + 1] = name
  fields[#fields + 1] = text(value)
end
redis.call('HSET', ACCOUNT, unpack(fields))
local reset_in = a.reset == 0 and 0 or a.ends_at - now
local keep = math.max(2 * TRANSIT, 4 * a.length, a.blocked - now + 60, reset_in + 60)
for _, key in ipairs(KEYS) do
  redis.call('EXPIRE', key, math.ceil(math.min(keep, 2 * LONGEST_WAIT)))
end
return result
