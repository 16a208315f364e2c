-- The requests that wrk sends: wrk -s load.lua URL -- MODE KEYS_FILE SEED PAUSE
--   in_turn     each key of the file, one after the other, from the SEED-th on: fills a cache
--   at_random   a key of the file at random
--   never_seen  a key that nobody sent before (unless with the same SEED)
-- PAUSE is how long (ms, on average) a connection waits before its next request; 0: it does not.
-- Ends with a line that bench/lib/load.py reads: requests, duration in µs, answers that were refusals, errors.

local ready, count = {}, 0                -- requests as text, made once: building them must not cost the generator
local before, after = "GET / HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer ", "\r\n\r\n"

local function in_turn(seed)
    local turn = seed
    return function()
        turn = turn + 1
        return ready[(turn - 1) % count + 1]
    end
end

local function at_random(seed)
    math.randomseed(seed)
    return function() return ready[math.random(count)] end
end

local function never_seen(seed)
    local number, format, prefix = 0, string.format, before .. "ia_" .. string.format("%024d", seed)
    return function()
        number = number + 1
        return prefix .. format("%025d", number) .. after
    end
end

function init(args)
    for key in io.lines(args[2]) do
        count = count + 1
        ready[count] = before .. key .. after
    end
    local modes = { in_turn = in_turn, at_random = at_random, never_seen = never_seen }
    request = modes[args[1]](tonumber(args[3]))
    local pause = tonumber(args[4])
    if pause > 0 then
        delay = function() return math.random(0, 2 * pause) end
    end
end

function done(summary)
    local e = summary.errors
    io.write(string.format("\nresult %d %d %d %d\n", summary.requests, summary.duration, e.status,
                           e.connect + e.read + e.write + e.timeout))
end
