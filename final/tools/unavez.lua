-- Shows the packets of unavez in Wireshark and tshark: every field of every kind, several packets in
-- a datagram, and whatever the library would drop, marked so.
--
--   wireshark -X lua_script:final/tools/unavez.lua
--   tshark -X lua_script:final/tools/unavez.lua -i lo -O unavez udp
--
-- UDP is recognised by its first bytes, on any port. The layout is that of src/protocol/{wire,kind}.rs.
-- Invariant: no byte is read before it is known to be there, so that no packet makes an error of Lua.

local unavez = Proto("unavez", "unavez: exactly-once request and reply")

local HEADER_MIN, FRAGMENT_HEADER = 76, 28
local MESSAGE_LARGEST = 0x40000000

local KINDS = {
  [0] = "REQUEST", "REPLY", "WORKING", "HEARTBEAT", "STALE", "NO_CALL", "BUSY", "REFUSED",
  "CHALLENGE", "ABORT", "ABORTED", "WRONG_SITE", "CREDIT", "FETCH",
}
local FORMS = { [0] = "packet", "fragment" }
local RAN = { [0] = "No", "Maybe", "Once" }
local REASONS = {
  [0] = "NoSuchPort", "Expired", "Aborted", "ServerDied", "Orphaned", "Forgotten", "PortClosed",
  "FalseRetry", "ReplyTooBig", "RequestTooBig",
}
local FATES = { [0] = "NotRun", "Stopping", "Maybe" }
local UNLIMITED = { [0xffffffff] = "unlimited" }
local FRESH = { [0] = "no", "yes" }

---- Fields

local fields = {}

local function field(kind, name, title, ...)
  fields[name] = ProtoField[kind]("unavez." .. name, title, ...)
end

field("string", "magic", "Magic")
field("uint8", "version", "Version")
field("uint8", "form", "Form", base.DEC, FORMS)
field("uint16", "length", "Length of the packet")
field("uint16", "flags", "Flags", base.HEX)
field("bool", "flags.idempotent", "Idempotent", 16, nil, 1)
field("bool", "flags.ordered", "Ordered", 16, nil, 2)
field("bool", "flags.begins", "Begins a large message", 16, nil, 16)
field("bool", "flags.asks", "Asks what has come", 16, nil, 1)
field("uint32", "checksum", "Checksum (CRC-32C)", base.HEX)
field("uint32", "attempt", "Attempt")
field("uint64", "client.site", "Client site", base.HEX)
field("uint32", "client.counter", "Client epoch, counted")
field("uint32", "client.random", "Client epoch, random", base.HEX)
field("uint64", "client.port", "Client port", base.HEX)
field("uint64", "server.site", "Server site", base.HEX)
field("uint32", "server.counter", "Server epoch, counted")
field("uint32", "server.random", "Server epoch, random", base.HEX)
field("uint64", "server.port", "Server port")
field("uint64", "seq", "Number of the call")
field("uint32", "kind", "Kind", base.DEC, KINDS)
field("uint64", "floor", "Floor")
field("uint64", "predecessor", "Predecessor")
field("uint32", "patience", "Patience (ms)", base.DEC, UNLIMITED)
field("uint32", "rto", "Next copy after (ms)")
field("uint32", "max_reply", "Longest reply (bytes)")
field("uint64", "hash", "Hash of the request", base.HEX)
field("uint64", "token.issued", "Token, issued (ms)")
field("uint64", "token.mac", "Token, MAC", base.HEX)
field("uint32", "service_time", "Service time (µs)")
field("uint32", "heartbeat", "Heartbeat every (ms)")
field("uint32", "window", "Window")
field("uint32", "port_life", "Life of a client port (ms)")
field("uint32", "present.counter", "Present epoch, counted")
field("uint32", "present.random", "Present epoch, random", base.HEX)
field("uint8", "fresh", "Fresh", base.DEC, FRESH)
field("uint32", "after", "Ask again after (ms)")
field("uint32", "ran", "Ran", base.DEC, RAN)
field("uint32", "reason", "Reason", base.DEC, REASONS)
field("uint32", "fate", "Fate", base.DEC, FATES)
field("uint32", "building", "Reassembly")
field("uint32", "newest", "Newest fragment")
field("uint32", "granted", "May send up to")
field("uint32", "room", "Room in the buffer (bytes)")
field("uint8", "stalled", "Nothing comes", base.DEC, FRESH)
field("uint64", "tag", "Tag of the message", base.HEX)
field("uint32", "serial", "Number of the fragment")
field("uint32", "offset", "Offset in the message")
field("bytes", "body", "Body")
unavez.fields = fields

local malformed = ProtoExpert.new(
  "unavez.malformed", "No packet: dropped", expert.group.MALFORMED, expert.severity.ERROR)
unavez.experts = { malformed }

---- The layout: name and bytes of each field, in order

local HEADER = {
  { "magic", 2 }, { "version", 1 }, { "form", 1 }, { "length", 2 }, { "flags", 2 },
  { "checksum", 4 }, { "attempt", 4 },
  { "client.site", 8 }, { "client.counter", 4 }, { "client.random", 4 }, { "client.port", 8 },
  { "server.site", 8 }, { "server.counter", 4 }, { "server.random", 4 }, { "server.port", 8 },
  { "seq", 8 }, { "kind", 4 },
}
local TOKEN = { { "token.issued", 8 }, { "token.mac", 8 } }
local GRANT = { { "window", 4 }, { "port_life", 4 }, TOKEN[1], TOKEN[2] }
local CREDIT = {
  { "building", 4 }, { "newest", 4 }, { "granted", 4 }, { "room", 4 }, { "stalled", 1 },
}
local FRAGMENT = {
  { "magic", 2 }, { "version", 1 }, { "form", 1 }, { "length", 2 }, { "flags", 2 },
  { "checksum", 4 }, { "tag", 8 }, { "serial", 4 }, { "offset", 4 },
}
local ASKS = { { "floor", 8 }, TOKEN[1], TOKEN[2] }

local function list(...)
  local all = {}
  for _, part in ipairs({ ... }) do
    for _, one in ipairs(part) do all[#all + 1] = one end
  end
  return all
end

local BODIES = {
  REQUEST = list({
    { "floor", 8 }, { "predecessor", 8 }, { "patience", 4 }, { "rto", 4 }, { "max_reply", 4 },
    { "hash", 8 },
  }, TOKEN),
  REPLY = list({ { "service_time", 4 } }, GRANT),
  WORKING = list({ { "service_time", 4 }, { "heartbeat", 4 } }, GRANT),
  HEARTBEAT = ASKS,
  STALE = { { "present.counter", 4 }, { "present.random", 4 }, { "fresh", 1 } },
  NO_CALL = {},
  BUSY = { { "after", 4 } },
  REFUSED = { { "ran", 4 }, { "reason", 4 } },
  CHALLENGE = TOKEN,
  ABORT = ASKS,
  ABORTED = { { "fate", 4 } },
  WRONG_SITE = {},
  CREDIT = CREDIT,
  FETCH = list(ASKS, CREDIT),
}

---- CRC-32C (RFC 3720), as the packet has it: over all of it, its own four bytes taken for zeros

local bit = bit or bit32
local CRC = {}
for byte = 0, 255 do
  local crc = byte
  for _ = 1, 8 do
    local low = bit.band(crc, 1)
    crc = bit.rshift(crc, 1)
    if low == 1 then crc = bit.bxor(crc, 0x82f63b78) end
  end
  CRC[byte] = crc
end

local function checksum(range)
  local bytes, crc = range:bytes(), 0xffffffff
  for i = 0, bytes:len() - 1 do
    local byte = (i >= 8 and i < 12) and 0 or bytes:get_index(i)
    crc = bit.bxor(bit.rshift(crc, 8), CRC[bit.band(bit.bxor(crc, byte), 0xff)])
  end
  return bit.bxor(crc, 0xffffffff) % 0x100000000
end

---- One packet

-- Adds the fields to the tree as far as there are bytes for them; says where it stopped, and whether
-- that was the end of the fields.
local function add(tree, range, at, layout, seen)
  for _, entry in ipairs(layout) do
    local name, size = entry[1], entry[2]
    if at + size > range:len() then return at, false end
    local part = range(at, size)
    local item = tree:add(fields[name], part)
    seen[name] = size == 8 and part:uint64() or part:uint()
    if name == "flags" and seen.form == 1 then
      item:add(fields["flags.asks"], part)
    elseif name == "flags" then
      item:add(fields["flags.idempotent"], part)
      item:add(fields["flags.ordered"], part)
      item:add(fields["flags.begins"], part)
    end
    at = at + size
  end
  return at, true
end

-- What is told of the bytes that have come: where each range begins and ends, ascending.
local function impossible_ranges(body)
  if not body then return end
  if body:len() % 8 ~= 0 or body:len() > 512 then return "no ranges" end
  local last
  for at = 0, body:len() - 8, 8 do
    local from, to = body(at, 4):uint(), body(at + 4, 4):uint()
    if from >= to or last and last >= from then return "impossible ranges" end
    last = to
  end
end

-- What every packet must satisfy, whoever sent it; nil, or what is wrong.
local function fault(name, seen, body)
  local says = name == "REQUEST" or name == "REPLY"
  local zero = UInt64(0)
  local ordered = bit.band(seen.flags, 2) ~= 0
  if bit.band(seen.flags, 0xffec) ~= 0 then return "unknown flags" end
  if bit.band(seen.flags, 16) ~= 0 then
    if not says or not body or body:len() < 4 then return "it begins no message" end
    local whole = body(0, 4):uint()
    if whole <= body:len() - 4 or whole > MESSAGE_LARGEST then return "an impossible length" end
  end
  if seen.seq == zero then return "no number" end
  if seen["client.site"] == zero then return "no client site" end
  if name == "CREDIT" or name == "FETCH" then
    local wrong = impossible_ranges(body)
    if wrong then return wrong end
  elseif body and not says then
    return "a body where none belongs"
  end
  if seen.floor and (seen.floor == zero or seen.floor > seen.seq) then
    return "the floor is not from 1 to the number"
  end
  if name == "REQUEST" then
    if seen.attempt == 0 then return "no attempt" end
    if seen.rto == 0 then return "no time until the next copy" end
    if seen.predecessor >= seen.seq then return "the predecessor is none" end
    if seen.predecessor ~= zero and not ordered then return "a predecessor without order" end
  elseif seen.floor and seen.attempt ~= 0 then
    return "an attempt where none belongs"
  end
  if seen.fresh and seen.fresh > 1 then return "FRESH is neither yes nor no" end
  if seen.stalled and seen.stalled > 1 then return "STALLED is neither yes nor no" end
  if seen.ran and not RAN[seen.ran] then return "unknown RAN" end
  if seen.reason and not REASONS[seen.reason] then return "unknown reason" end
  if seen.fate and not FATES[seen.fate] then return "unknown fate" end
end

-- As in the traces: the kind, the call, the life of the server.
local function line(name, seen)
  local to_server = name == "REQUEST" or name == "HEARTBEAT" or name == "ABORT" or name == "FETCH"
  local port = seen["client.port"]:tohex():sub(1, 4)
  return string.format("%s e%d.%s.%s %s e%d", name, seen["client.counter"], port,
    tostring(seen.seq), to_server and "to" or "from", seen["server.counter"])
end

local function drop(tree, pinfo, why)
  tree:add_proto_expert_info(malformed, "No packet: " .. why)
  pinfo.cols.info:append(", malformed")
end

-- A piece of a large message.
local function fragment(range, pinfo, root)
  local function bad(tree, why) return drop(tree, pinfo, why) end
  local tree, seen, length = root:add(unavez, range), {}, range:len()
  local at = add(tree, range, 0, FRAGMENT, seen)
  if length <= FRAGMENT_HEADER then return bad(tree, "shorter than a fragment") end
  if checksum(range(0, FRAGMENT_HEADER)) ~= seen.checksum then
    return bad(tree, "wrong checksum")
  end
  tree:add(fields.body, range(at))
  local to = seen.offset + length - at
  local text = string.format("FRAGMENT %s %d..%d", seen.tag:tohex():sub(1, 4), seen.offset, to)
  tree:append_text(", " .. text)
  pinfo.cols.info:append(", " .. text)
  if seen.flags > 1 then return bad(tree, "unknown flags") end
  if seen.serial == 0 then return bad(tree, "no number") end
  if to > MESSAGE_LARGEST + 4 then return bad(tree, "beyond the longest message") end
  return length
end

-- The first packet in these bytes. Says its length, or nil: then what follows is none either.
local function packet(range, pinfo, root)
  local available = range:len()
  local function bad(tree, why) return drop(tree, pinfo, why) end
  if available < 12 then
    return bad(root:add(unavez, range), "shorter than a header")
  end
  if range(0, 3):bytes():tohex() ~= "555601" then
    return bad(root:add(unavez, range), "unknown protocol or version")
  end
  local form, length = range(3, 1):uint(), range(4, 2):uint()
  if not FORMS[form] then return bad(root:add(unavez, range), "unknown form") end
  if length < 12 or length > available then
    return bad(root:add(unavez, range), "its length is impossible")
  end
  range = range(0, length)
  if form == 1 then return fragment(range, pinfo, root) end
  if length < HEADER_MIN then
    return bad(root:add(unavez, range), "its length is impossible")
  end
  local tree, seen = root:add(unavez, range), {}
  local at = add(tree, range, 0, HEADER, seen)
  local name = KINDS[seen.kind]
  if checksum(range) ~= seen.checksum then return bad(tree, "wrong checksum") end
  if not name then return bad(tree, "unknown kind") end
  local whole
  at, whole = add(tree, range, at, BODIES[name], seen)
  if not whole then return bad(tree, "shorter than its kind") end
  if at < length then tree:add(fields.body, range(at)) end
  local text = line(name, seen)
  tree:append_text(", " .. text)
  pinfo.cols.info:append(", " .. text)
  local wrong = fault(name, seen, at < length and range(at) or nil)
  if wrong then return bad(tree, wrong) end
  return length
end

function unavez.dissector(buffer, pinfo, root)
  pinfo.cols.protocol = "unavez"
  local at = 0
  while at < buffer:len() do
    local length = packet(buffer(at), pinfo, root)
    if not length then break end
    at = at + length
  end
  return buffer:len()
end

unavez:register_heuristic("udp", function(buffer, pinfo, root)
  if buffer:len() < 12 or buffer(0, 3):bytes():tohex() ~= "555601" then return false end
  unavez.dissector(buffer, pinfo, root)
  return true
end)
-- For "Decode as".
DissectorTable.get("udp.port"):add_for_decode_as(unavez)
