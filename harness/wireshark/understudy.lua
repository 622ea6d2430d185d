-- A dissector for what Understudy's nodes say to each other on raw Ethernet (EtherType 0x88b5), and what its switch
-- says of its ports (0x88b6): the heads of link, MCAPI and shared-memory frames.
--
--   tshark -X lua_script:harness/wireshark/understudy.lua -r link-n0-sw0.pcapng
--
-- or copy it to Wireshark's folder of personal Lua plugins. The numbers are those of runtime/core; tests/it/wireshark.rs
-- compares them.

local ETHERTYPE = 0x88b5
local NOTICE_ETHERTYPE = 0x88b6
local MAGIC = 0xd5
local HEADER = 52

local KINDS = { [1] = "hello", [2] = "data", [3] = "ack", [4] = "gone" }
local PROTOCOLS = { [1] = "membership", [2] = "mcapi", [3] = "sdsm", [4] = "recovery" }
local MEMBERSHIP = {
  [1] = "prepare", [2] = "promise", [3] = "accept", [4] = "accepted", [5] = "install", [6] = "suspect",
  [7] = "trust", [8] = "join", [9] = "vouch",
}
local MCAPI = {
  [1] = "get", [2] = "get-cancel", [3] = "get-done", [4] = "message", [5] = "message-done", [6] = "connect",
  [7] = "bind", [8] = "bound", [9] = "connect-done", [10] = "opened", [11] = "packet", [12] = "credit",
  [13] = "closed", [14] = "release", [15] = "attribute-get", [16] = "attribute-done", [17] = "message-cancel",
  [18] = "credit-ask", [19] = "credit-answer", [20] = "messages-done",
  [21] = "message-later", [22] = "messages-ask", [23] = "heard",
}
local SDSM = {
  [1] = "fetch", [2] = "diffs", [3] = "touch", [4] = "lock", [5] = "unlock", [6] = "arrive", [7] = "page",
  [8] = "applied", [9] = "home", [10] = "grant", [11] = "release",
}
-- What each kind of MCAPI frame begins with, after its tag.
local REQUEST = { [1] = true, [2] = true, [3] = true, [4] = true, [5] = true, [6] = true, [9] = true, [15] = true,
  [16] = true, [17] = true, [21] = true, [23] = true }
local CHANNEL = { [7] = true, [8] = true, [10] = true, [11] = true, [12] = true, [13] = true, [18] = true, [19] = true }

local link = Proto("understudy", "Understudy link")
local f = {
  magic = ProtoField.uint8("understudy.magic", "Magic", base.HEX),
  version = ProtoField.uint8("understudy.version", "Version"),
  kind = ProtoField.uint8("understudy.kind", "Kind", base.DEC, KINDS),
  flags = ProtoField.uint8("understudy.flags", "Flags", base.HEX),
  protocol = ProtoField.uint8("understudy.protocol", "Protocol", base.DEC, PROTOCOLS),
  first = ProtoField.bool("understudy.first", "First fragment"),
  last = ProtoField.bool("understudy.last", "Last fragment"),
  from = ProtoField.uint32("understudy.from", "Generation of the sender"),
  to = ProtoField.uint32("understudy.to", "Generation of the receiver"),
  length = ProtoField.uint32("understudy.length", "Length"),
  crc = ProtoField.uint32("understudy.crc", "CRC-32", base.HEX),
  seq = ProtoField.uint64("understudy.seq", "Sequence"),
  ack = ProtoField.uint64("understudy.ack", "Next sequence expected"),
  selective = ProtoField.bytes("understudy.selective", "Held already"),
  node = ProtoField.uint16("understudy.node", "Node"),
  mtu = ProtoField.uint32("understudy.mtu", "MTU"),
  image = ProtoField.bytes("understudy.image", "SHA-256 of the image"),
  membership = ProtoField.uint8("understudy.membership", "Membership message", base.DEC, MEMBERSHIP),
  mcapi = ProtoField.uint8("understudy.mcapi", "MCAPI frame", base.DEC, MCAPI),
  request = ProtoField.uint32("understudy.mcapi.request", "Request"),
  channel = ProtoField.uint32("understudy.mcapi.channel", "Channel"),
  port = ProtoField.uint32("understudy.mcapi.port", "Port"),
  sdsm = ProtoField.uint8("understudy.sdsm", "Shared-memory message", base.DEC, SDSM),
  page = ProtoField.uint32("understudy.sdsm.page", "Page"),
  lock = ProtoField.uint32("understudy.sdsm.lock", "Lock"),
  call = ProtoField.uint32("understudy.sdsm.call", "Collective call"),
  payload = ProtoField.bytes("understudy.payload", "Payload"),
}
link.fields = f

-- The head of a shared-memory message; its name, or nothing if it is none.
local function sdsm(buffer, tree)
  if buffer:len() < 1 then return nil end
  local kind = buffer(0, 1):uint()
  if not SDSM[kind] then return nil end
  tree:add(f.sdsm, buffer(0, 1))
  if buffer:len() >= 5 then
    if kind == 1 or kind == 3 or kind == 7 or kind == 9 then tree:add_le(f.page, buffer(1, 4)) end
    if kind == 4 or kind == 5 or kind == 10 then tree:add_le(f.lock, buffer(1, 4)) end
    if kind == 6 or kind == 11 then tree:add_le(f.call, buffer(1, 4)) end
  end
  return SDSM[kind]
end

-- The head of an MCAPI frame; its name, with that of what a packet carries.
local function mcapi(buffer, tree)
  if buffer:len() < 1 then return nil end
  local kind = buffer(0, 1):uint()
  tree:add(f.mcapi, buffer(0, 1))
  if buffer:len() >= 5 then
    if REQUEST[kind] then tree:add_le(f.request, buffer(1, 4)) end
    if CHANNEL[kind] then tree:add_le(f.channel, buffer(1, 4)) end
  end
  local name = MCAPI[kind] or "?"
  if kind == 11 and buffer:len() > 9 then
    tree:add_le(f.port, buffer(5, 4))
    -- The runtime's own channels carry shared memory; those of programs may carry anything.
    local inner = sdsm(buffer(9):tvb(), tree)
    if inner then name = name .. " " .. inner end
  end
  return name
end

function link.dissector(buffer, pinfo, root)
  if buffer:len() < HEADER or buffer(0, 1):uint() ~= MAGIC then return 0 end
  pinfo.cols.protocol = "UNDERSTUDY"
  local kind, flags = buffer(2, 1):uint(), buffer(3, 1):uint()
  local length = math.min(buffer(12, 4):le_uint(), buffer:len())
  local tree = root:add(link, buffer(0, length))
  tree:add(f.magic, buffer(0, 1))
  tree:add(f.version, buffer(1, 1))
  tree:add(f.kind, buffer(2, 1))
  tree:add(f.flags, buffer(3, 1))
  tree:add_le(f.from, buffer(4, 4))
  tree:add_le(f.to, buffer(8, 4))
  tree:add_le(f.length, buffer(12, 4))
  tree:add_le(f.crc, buffer(16, 4))
  tree:add_le(f.seq, buffer(20, 8))
  tree:add_le(f.ack, buffer(28, 8))
  tree:add(f.selective, buffer(36, 16))
  local words = KINDS[kind] or "?"
  if kind == 1 and length >= HEADER + 40 then
    tree:add_le(f.node, buffer(HEADER, 2))
    tree:add_le(f.mtu, buffer(HEADER + 4, 4))
    tree:add(f.image, buffer(HEADER + 8, 32))
    words = words .. " of node " .. buffer(HEADER, 2):le_uint()
  elseif kind == 2 then
    local protocol = bit.band(flags, 0x0f)
    tree:add(f.protocol, buffer(3, 1), protocol)
    tree:add(f.first, buffer(3, 1), bit.band(flags, 0x40) ~= 0)
    tree:add(f.last, buffer(3, 1), bit.band(flags, 0x80) ~= 0)
    words = words .. " " .. tostring(buffer(20, 8):le_uint64()) .. " " .. (PROTOCOLS[protocol] or "?")
    if length > HEADER then
      local payload = buffer(HEADER, length - HEADER)
      local inner = nil
      -- Only the first fragment of a message has its head.
      if bit.band(flags, 0x40) ~= 0 then
        local message = payload:tvb()
        if protocol == 1 then
          tree:add(f.membership, payload(0, 1))
          inner = MEMBERSHIP[payload(0, 1):uint()]
        elseif protocol == 2 then
          inner = mcapi(message, tree)
        elseif protocol == 3 then
          inner = sdsm(message, tree)
        end
      end
      if inner then words = words .. " " .. inner end
      tree:add(f.payload, payload)
    end
  elseif kind == 3 then
    words = words .. " up to " .. tostring(buffer(28, 8):le_uint64())
  end
  pinfo.cols.info = words
  return length
end

local notice = Proto("understudy_notice", "Understudy port notice")
local card = ProtoField.ether("understudy_notice.card", "Card behind the port")
notice.fields = { card }

function notice.dissector(buffer, pinfo, root)
  if buffer:len() < 12 then return 0 end
  pinfo.cols.protocol = "UNDERSTUDY"
  pinfo.cols.info = "port down: " .. tostring(buffer(2, 6):ether())
  root:add(notice, buffer(0, 12)):add(card, buffer(2, 6))
  return 12
end

local ethertypes = DissectorTable.get("ethertype")
ethertypes:add(ETHERTYPE, link)
ethertypes:add(NOTICE_ETHERTYPE, notice)
