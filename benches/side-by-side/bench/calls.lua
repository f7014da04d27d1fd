-- The calls of one measurement, for wrk.
--   wrk … URL -- LIMIT [NAME PREFIX FILE FIRST COUNT]
-- Header field NAME gets PREFIX and a line of FILE: lines FIRST to FIRST+COUNT-1
-- in turn. LIMIT ends the run after so many calls; 0: the clock alone ends it.

local ffi = require("ffi")
ffi.cdef[[int getpid(void); int kill(int pid, int signal);]]

local requests, made, limit = {}, 0, 0

function init(args)
  limit = tonumber(args[1])
  if args[2] == nil then
    requests[1] = wrk.format()
    return
  end
  local name, prefix, first, count = args[2], args[3], tonumber(args[5]), tonumber(args[6])
  local number = 0
  for line in io.lines(args[4]) do
    number = number + 1
    if number >= first + count then break end
    if number >= first then
      wrk.headers[name] = prefix .. line
      requests[#requests + 1] = wrk.format()
    end
  end
  if #requests ~= count then error(args[4] .. " has too few lines") end
end

function request()
  made = made + 1
  if limit > 0 and made > limit then
    wrk.thread:stop()
    -- wrk's main thread sleeps for the whole duration; SIGINT wakes it to its usual end.
    ffi.C.kill(ffi.C.getpid(), 2)
  end
  return requests[(made - 1) % #requests + 1]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"calls":%d,"microseconds":%d,"p50_us":%.0f,"p99_us":%.0f,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
