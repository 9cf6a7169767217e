-- One kind of request at a constant pace, for wrk. Notes every answer that is not what was asked for, and the id of every
-- listing whose creation was acknowledged. Arguments: pace in ms, "kept" or "new" connections, "read" or "write", folder, and
-- the token of who may write, if it takes one.
local pace, noted, acknowledged, answered
local count = 0

function init(args)
  -- The URL is the one before the first.
  local connections, kind, folder = args[2], args[3], args[4]
  pace = tonumber(args[1])
  local name = folder .. "/" .. connections .. "-" .. kind
  noted = io.open(name .. ".noted", "w")
  acknowledged = io.open(name .. ".acknowledged", "w")
  answered = io.open(name .. ".answered", "w")
  for _, file in ipairs({ noted, acknowledged, answered }) do
    file:setvbuf("line")
  end
  -- Who does not say what it is gets no further than a web ACL.
  wrk.headers["User-Agent"] = "wrk"
  if connections == "new" then
    wrk.headers["Connection"] = "close"
  end
  if args[5] then
    wrk.headers["Authorization"] = "Bearer " .. args[5]
  end
  if kind == "write" then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"make":"Tata","model":"Load","year":2020,"price":100000,"mileage_km":1,"fuel":"petrol",'
      .. '"transmission":"manual","city":"Pune"}'
  end
end

function delay()
  return pace
end

function response(status, headers, body)
  count = count + 1
  if count % 100 == 0 then
    answered:seek("set")
    answered:write(count, "\n")
  end
  local id = status == 201 and body:match('"id"%s*:%s*"?([%w-]+)')
  if id then
    acknowledged:write(id, "\n")
  elseif status ~= 200 then
    noted:write(os.time(), " ", status, " ", body:sub(1, 200):gsub("%s+", " "), "\n")
  end
end
