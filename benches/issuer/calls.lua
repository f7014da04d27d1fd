-- The calls of one measurement, for wrk.
--   wrk … URL -- KIND FOLDER FIRST COUNT LIMIT
-- FOLDER/call is the call, in which @ stands for a line of FOLDER/lines (prepare.mjs).
--   each     lines FIRST to FIRST+COUNT-1 in turn; LIMIT ends the run after so many calls (0: the clock)
--   refresh  one chain per thread, which has one connection: the first token is line FIRST + the
--            thread's number, each further one is what the last answer gave
--   code     one chain per thread: FOLDER/start leads to a redirect with a code, the call redeems it

local ffi = require("ffi")
ffi.cdef[[int getpid(void); int kill(int pid, int signal);]]

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  threads[#threads + 1] = thread
end

local function read(path)
  local file = assert(io.open(path))
  local method, target, fields = file:read("*l"), file:read("*l"), {}
  for line in file:lines() do
    if line == "" then break end
    local name, value = line:match("^([^:]+): (.*)$")
    fields[name] = value
  end
  local body = file:read("*a")
  file:close()
  return { method = method, target = target, fields = fields, body = body ~= "" and body or nil }
end

local function form(call, line)
  local body = call.body
  if body then
    local at = body:find("@", 1, true)
    if at then body = body:sub(1, at - 1) .. line .. body:sub(at + 1) end
  end
  return wrk.format(call.method, call.target, call.fields, body)
end

local kind, call, start, requests, made, limit, token, code
operations, broken = 0, ""

function init(args)
  kind = args[1]
  local folder, first, count = args[2], tonumber(args[3]), tonumber(args[4])
  limit, made, requests = tonumber(args[5]), 0, {}
  call = read(folder .. "/call")
  local line_number = 0
  for line in io.lines(folder .. "/lines") do
    line_number = line_number + 1
    if kind == "each" then
      if line_number >= first and line_number < first + count then requests[#requests + 1] = form(call, line) end
    elseif line_number == first + number then
      token = line
    end
  end
  if kind == "each" and #requests ~= count then error("too few lines") end
  if kind == "code" then start = read(folder .. "/start") end
  -- wrk reads answers only where this exists.
  if kind ~= "each" then response = chained end
end

function request()
  if kind == "refresh" then return form(call, token) end
  if kind == "code" then
    if code then return form(call, code) end
    return form(start)
  end
  made = made + 1
  if limit > 0 and made > limit then
    wrk.thread:stop()
    -- wrk's main thread sleeps for the whole duration; SIGINT wakes it to its usual end.
    ffi.C.kill(ffi.C.getpid(), 2)
  end
  return requests[(made - 1) % #requests + 1]
end

function chained(status, headers, body)
  if kind == "refresh" then
    local new = status == 200 and body:match('"refresh_token"%s*:%s*"([^"]+)"')
    if new then token, operations = new, operations + 1 else broken = status .. " " .. body:sub(1, 300) end
  elseif code then
    if status == 200 then operations = operations + 1 else broken = status .. " " .. body:sub(1, 300) end
    code = nil
  else
    local location = headers["location"] or headers["Location"] or ""
    code = location:match("[?&]code=([^&]+)")
    if not code then broken = status .. " " .. location .. body:sub(1, 300) end
  end
end

function done(summary, latency)
  local e, counted, why = summary.errors, 0, ""
  for _, thread in ipairs(threads) do
    counted = counted + (tonumber(thread:get("operations")) or 0)
    local problem = thread:get("broken")
    if problem and problem ~= "" then why = problem end
  end
  if counted == 0 then counted = summary.requests end
  io.write(string.format(
    'RESULT {"operations":%d,"calls":%d,"microseconds":%d,"p50_us":%.0f,"p99_us":%.0f,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    counted, summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
  if why ~= "" then io.write("BROKEN " .. why:gsub("%s+", " ") .. "\n") end
end
