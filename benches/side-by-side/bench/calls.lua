-- The calls of one measurement, for wrk.
--   wrk … URL -- LIMIT METHOD BODY FILE FIRST COUNT [FIELD…]
-- BODY: a file, sent with each call. FILE: lines FIRST to FIRST+COUNT-1 in turn,
-- divided by tabs into the values of the header fields; each FIELD is `Name: prefix`.
-- `-` for BODY or FILE: none. LIMIT ends the run after so many calls; 0: the clock
-- alone ends it.

local ffi = require("ffi")
ffi.cdef[[int getpid(void); int kill(int pid, int signal);]]

local requests, made, limit = {}, 0, 0

function init(args)
  local body, file, first, count = args[3], args[4], tonumber(args[5]), tonumber(args[6])
  limit, wrk.method = tonumber(args[1]), args[2]
  if body ~= "-" then
    wrk.body = assert(io.open(body)):read("*a")
    wrk.headers["Content-Type"] = "application/json"
  end
  if file == "-" then
    requests[1] = wrk.format()
    return
  end
  local number = 0
  for line in io.lines(file) do
    number = number + 1
    if number >= first + count then break end
    if number >= first then
      local column = 6
      for value in (line .. "\t"):gmatch("([^\t]*)\t") do
        column = column + 1
        local name, prefix = args[column]:match("^(.-): (.*)$")
        wrk.headers[name] = prefix .. value
      end
      requests[#requests + 1] = wrk.format()
    end
  end
  if #requests ~= count then error(file .. " has too few lines") end
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
