-- The peer: API keys as a competent operator checks them in Lua, after Kong's key-auth. SHA-256 of the bearer; a shared dict,
-- with or without an LRU of each worker in front; on a miss HMGET from Redis over a pool of kept connections; unknown
-- keys are remembered as well. It leaves out what would only cost it time here: a lock against stampedes, and proof of
-- whose the reply is.

local sha256 = require "nginx.sha256"
local to_hex = require("nginx.string").to_hex
local redis = require "nginx.redis"
local lrucache = require "resty.lrucache"

local ngx, null, find, sub, concat = ngx, ngx.null, string.find, string.sub, table.concat
local now, log = ngx.time, ngx.log

local _M = {}
local hasher = sha256:new()               -- one for all requests: nothing yields between reset and final
local options, dict, lru
local UNKNOWN = {}                        -- what the LRU holds for a key that is not known

-- o: redis ("unix:/path"), valid and invalid (seconds; 0: no caching), lru (entries; nil: none)
function _M.setup(o)
    options, dict = o, ngx.shared.api_keys
    lru = o.lru and lrucache.new(o.lru)
end

local function digest(key)
    hasher:reset()
    hasher:update(key)
    return hasher:final()
end

local function bearer()
    local header = ngx.var.http_authorization
    if not header then return nil end
    local scheme = sub(header, 1, 7)
    if scheme == "Bearer " or scheme:lower() == "bearer " then
        return sub(header, 8)
    end
end

local function refuse(status, code)
    ngx.status = status
    ngx.header["Content-Type"] = "application/problem+json"
    if status == 401 then
        ngx.header["WWW-Authenticate"] = 'Bearer realm="bench", error="invalid_token"'
    end
    ngx.print('{"type":"about:blank","title":"refused","status":', status, ',"code":"', code, '"}')
    return ngx.exit(status)
end

-- Facts are kept as one string, separated by line feeds. LuaJIT compiles plain find, but no patterns; and no loop here, which
-- it would compile in one worker and give up on in the next.
local function unpack_facts(text)
    local first = find(text, "\n", 1, true)
    local second = find(text, "\n", first + 1, true)
    local third = find(text, "\n", second + 1, true)
    return { id = sub(text, 1, first - 1), user = sub(text, first + 1, second - 1), scopes = sub(text, second + 1, third - 1),
             expires = tonumber(sub(text, third + 1)) or 0 }
end

-- The facts as text, "" for an unknown key; nil and an error when Redis cannot be asked.
local function ask_redis(hash)
    local connection = redis:new()
    connection:set_timeout(250)
    local ok, err = connection:connect(options.redis)
    if not ok then return nil, err end
    local reply
    reply, err = connection:hmget("apikey:k:" .. to_hex(hash), "id", "user", "scopes", "expires")
    if not reply then return nil, err end
    connection:set_keepalive(60000, 256)
    if reply[1] == null then return "" end
    return concat(reply, "\n")
end

-- The facts of a key by way of the shared dict; UNKNOWN; nil and an error.
local function from_dict(hash)
    local text = dict:get(hash)
    if not text then
        local err
        text, err = ask_redis(hash)
        if not text then return nil, err end
        local lifetime = text == "" and options.invalid or options.valid
        if lifetime > 0 then dict:set(hash, text, lifetime) end
    end
    return text == "" and UNKNOWN or unpack_facts(text)
end

local function find_facts(hash)
    if not lru then return from_dict(hash) end
    local facts, err = lru:get(hash)
    if not facts then
        facts, err = from_dict(hash)
        local lifetime = facts == UNKNOWN and options.invalid or options.valid
        if facts and lifetime > 0 then lru:set(hash, facts, lifetime) end
    end
    return facts, err
end

-- access_by_lua: lets the request on with its identity in ngx.ctx.api_key, or refuses it.
function _M.check()
    local key = bearer()
    if not key or key == "" then return refuse(401, "missing_api_key") end
    local facts, err = find_facts(digest(key))
    if not facts then
        log(ngx.ERR, "redis: ", err)
        return refuse(503, "api_key_unavailable")
    end
    if facts == UNKNOWN then return refuse(401, "invalid_api_key") end
    if facts.expires > 0 and facts.expires <= now() then return refuse(401, "expired_api_key") end
    ngx.ctx.api_key = facts
end

-- After check(): hands the identity to nginx's variables, for proxy_set_header.
function _M.tell()
    local facts, var = ngx.ctx.api_key, ngx.var
    var.key_user, var.key_id, var.key_scopes = facts.user, facts.id, facts.scopes
end

return _M
